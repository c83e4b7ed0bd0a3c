//! Compiles the protocol with protox, so that no `protoc` has to be installed.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files =
        ["pipeline", "explanation", "jobs", "namespaces", "why", "agent"].map(|name| format!("vismae/v1/{name}.proto"));
    let records = "vismae/state/v1/records.proto";
    for file in files.iter().map(String::as_str).chain([records]) {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("vismae.v1.bin"), descriptors.encode_to_vec())?;
    // Ordered, so that the same view has the same bytes, which its etag is made of.
    let shown = ["Job.figures", "Job.spent", "JobSpec.node_labels", "Explanation.spent", "Why.facts", "Worker.labels"];
    let configured =
        shown.iter().fold(tonic_prost_build::configure(), |all, map| all.btree_map(format!("vismae.v1.{map}")));
    configured.compile_fds(descriptors)?;
    // Apart, for what a coordinator keeps is nobody else's business: no reflection shows it.
    let records = protox::compile([records], ["."])?;
    tonic_prost_build::configure().extern_path(".vismae.v1", "crate::v1").compile_fds(records)?;
    Ok(())
}
