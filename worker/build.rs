//! Lets the binary find libtorch where it was built, without `LD_LIBRARY_PATH`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_VISMAE_C10D_LIBDIR");
    if let Ok(folder) = std::env::var("DEP_VISMAE_C10D_LIBDIR") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
