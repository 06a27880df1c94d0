//! Build script that marks tests as ignored if the server program that they need is missing. In CI, a missing program
//! is a failure.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(redis)");
    println!("cargo::rerun-if-env-changed=CI");
    println!("cargo::rerun-if-env-changed=PATH");
    let paths = env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = env::split_paths(&paths).map(|path| path.join("redis-server")).collect();
    let found = places.iter().find(|place| place.exists());
    // Search for the program again before each build, because it may be installed later.
    println!("cargo::rerun-if-changed={}", found.cloned().unwrap_or_else(|| "redis-server".into()).display());
    if found.is_some() || env::var_os("CI").is_some_and(|ci| ci == "true") {
        println!("cargo::rustc-cfg=redis");
    }
}
