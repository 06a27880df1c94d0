//! Reports tests whose server program is missing as ignored. In CI a missing program is a failure.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(redis)");
    println!("cargo::rerun-if-env-changed=CI");
    println!("cargo::rerun-if-env-changed=PATH");
    let paths = env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = env::split_paths(&paths).map(|path| path.join("redis-server")).collect();
    let found = places.iter().find(|place| place.exists());
    // The program may be installed later, so the build script searches for it again before each build.
    println!("cargo::rerun-if-changed={}", found.cloned().unwrap_or_else(|| "redis-server".into()).display());
    if found.is_some() || env::var_os("CI").is_some_and(|ci| ci == "true") {
        println!("cargo::rustc-cfg=redis");
    }
}
