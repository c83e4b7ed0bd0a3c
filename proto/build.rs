//! Compiles the protocol with protox, so that no `protoc` has to be installed.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["vismae/v1/pipeline.proto", "vismae/v1/jobs.proto", "vismae/v1/agent.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("vismae.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
