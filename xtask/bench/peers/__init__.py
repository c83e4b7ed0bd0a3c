"""What users would take in the place of vismae, each as a contender of `cargo xtask bench corpus`."""
