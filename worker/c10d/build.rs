//! Compiles the C shim against libtorch, and tells dependants where libtorch's libraries lie.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rustc-check-cfg=cfg(nccl)");

    let libtorch = libtorch();
    let include = libtorch.join("include");
    let library = libtorch.join("lib");
    let nccl = nccl_includes(&libtorch);

    let mut shim = cc::Build::new();
    shim.cpp(true)
        .std("c++17")
        .pic(true)
        .include("shim")
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .define("USE_C10D_GLOO", None)
        .file("shim/shim.cc");
    // System headers: warnings in them are not ours to mend.
    for folder in [include.clone(), include.join("torch/csrc/api/include")] {
        shim.flag("-isystem").flag(folder);
    }
    if let Some(folders) = &nccl {
        shim.define("USE_C10D_NCCL", None);
        for folder in folders {
            shim.flag("-isystem").flag(folder);
        }
        println!("cargo:rustc-cfg=nccl");
    }
    shim.compile("vismae_c10d_shim");

    println!("cargo:rustc-link-search=native={}", library.display());
    if nccl.is_some() {
        println!("cargo:rustc-link-lib=torch_cuda");
        println!("cargo:rustc-link-lib=c10_cuda");
    }
    for name in ["torch_cpu", "torch", "c10"] {
        println!("cargo:rustc-link-lib={name}");
    }
    // For this crate's own tests; a dependant reads DEP_VISMAE_C10D_LIBDIR and does the same.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library.display());
    println!("cargo:libdir={}", library.display());
}

/// The folder that `LIBTORCH` names, once it is known to hold libtorch.
fn libtorch() -> PathBuf {
    let named = env::var_os("LIBTORCH").map(PathBuf::from).unwrap_or_default();
    let header = named.join("include/torch/csrc/distributed/c10d/ProcessGroupGloo.hpp");
    assert!(header.is_file(), "libtorch not found at `{}`: run `cargo xtask setup`", named.display());
    named
}

/// The folders of the CUDA and NCCL headers beside libtorch, or none when this is a tree without CUDA.
fn nccl_includes(libtorch: &Path) -> Option<Vec<PathBuf>> {
    let nvidia = libtorch.parent()?.join("nvidia");
    let folders = ["cu13/include", "cu13/include/cccl", "nccl/include"].map(|folder| nvidia.join(folder)).to_vec();
    let needed = [
        libtorch.join("lib/libtorch_cuda.so"),
        nvidia.join("nccl/include/nccl.h"),
        nvidia.join("cu13/include/cuda_runtime.h"),
        nvidia.join("cu13/include/crt/host_config.h"),
        nvidia.join("cu13/include/cccl/nv/target"),
    ];
    needed.iter().all(|path| path.exists()).then_some(folders)
}
