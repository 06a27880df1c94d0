//! Build script that marks tests as ignored if the server program that they need is missing. In CI, a missing program
//! is a failure.

use std::env;
use std::fs;
use std::path::PathBuf;

/// Directory of the versions of PostgreSQL, whose programs Debian does not add to the path.
const POSTGRESQL: &str = "/usr/lib/postgresql";

fn main() {
    println!("cargo::rerun-if-env-changed=CI");
    println!("cargo::rerun-if-env-changed=PATH");
    let paths = env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = env::split_paths(&paths).collect();
    search("redis", "redis-server", &places);
    let versions = fs::read_dir(POSTGRESQL).into_iter().flatten().flatten();
    places.extend(versions.map(|version| version.path().join("bin")));
    search("postgres", "initdb", &places);
}

/// Sets a configuration option for the compiler if a program is in one of these directories, or must be there.
fn search(option: &str, program: &str, places: &[PathBuf]) {
    println!("cargo::rustc-check-cfg=cfg({option})");
    let found = places.iter().map(|place| place.join(program)).find(|path| path.exists());
    // Search for the program again before each build, because it may be installed later.
    println!("cargo::rerun-if-changed={}", found.clone().unwrap_or_else(|| program.into()).display());
    if found.is_some() || env::var_os("CI").is_some_and(|ci| ci == "true") {
        println!("cargo::rustc-cfg={option}");
    }
}
