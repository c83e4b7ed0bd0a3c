//! Tells the linker of this crate's tests and benches where libtorch's libraries lie.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(libraries) = env::var("DEP_VISMAE_C10D_LIBDIR") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libraries}");
    }
}
