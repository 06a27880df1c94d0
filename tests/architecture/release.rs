//! Checks that a release build contains no failpoints.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// A program with one failpoint of each kind. It prints the result of the failpoint that can return an error.
const PROGRAM: &str = r#"
    fn main() {
        longhaul_failpoint::crashpoint!("sample.passed");
        let failed = longhaul_failpoint::failpoint!("sample.failed").is_err();
        println!("{failed} {}", longhaul_failpoint::variables().count());
    }
"#;

/// Name of the environment variable with the failpoint rules. It is split in two parts, so that a search for the name
/// does not find this file.
const VARIABLE: &str = concat!("LONGHAUL_", "FAILPOINTS");

/// A compiled copy of [`PROGRAM`].
struct Sample {
    ground: tempfile::TempDir,
}

impl Sample {
    /// Compiles the failpoint crate and the program, with or without debug assertions.
    fn build(asserts: bool) -> Self {
        let ground = tempfile::tempdir().unwrap();
        let source = ground.path().join("sample.rs");
        fs::write(&source, PROGRAM).unwrap();
        let points = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crates/failpoint/src/lib.rs");
        let asserts = format!("debug-assertions={}", if asserts { "on" } else { "off" });
        let compile = |arguments: &[&str], source: &PathBuf| {
            let done = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
                .args([
                    "--edition",
                    "2024",
                    "-O",
                    "-C",
                    &asserts,
                    "-C",
                    "strip=symbols",
                    "--cap-lints",
                    "allow",
                ])
                .args(arguments)
                .arg(source)
                .current_dir(ground.path())
                .output()
                .unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        };
        compile(&["--crate-type", "rlib", "--crate-name", "longhaul_failpoint"], &points);
        compile(&["--extern", "longhaul_failpoint=liblonghaul_failpoint.rlib"], &source);
        Self { ground }
    }

    fn holds(&self, text: &str) -> bool {
        let bytes = fs::read(self.ground.path().join("sample")).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Runs the program with armed failpoints. Returns its output and the names of the failpoints that it passed.
    fn run(&self) -> (String, String) {
        let seen = self.ground.path().join("seen");
        let output = Command::new(self.ground.path().join("sample"))
            .env(VARIABLE, "sample.failed=eio")
            .env(format!("{VARIABLE}_SEEN"), &seen)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        (printed, fs::read_to_string(seen).unwrap_or_default())
    }
}

#[test]
fn build_without_debug_assertions_has_no_crash_points() {
    let release = Sample::build(false);
    assert_eq!(release.run(), ("false 0".to_owned(), String::new()));
    for text in ["sample.passed", "sample.failed", VARIABLE] {
        assert!(!release.holds(text), "a release build contains {text}");
    }
    // A debug build must contain these strings. This proves that the search would find them in a release build.
    let debug = Sample::build(true);
    let (printed, recorded) = debug.run();
    assert_eq!(printed, "true 2");
    assert!(recorded.starts_with("sample.passed ") && recorded.contains("\nsample.failed "), "{recorded}");
    for text in ["sample.passed", "sample.failed", VARIABLE] {
        assert!(debug.holds(text), "{text}");
    }
}

#[test]
fn release_profile_has_no_debug_assertions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let config = fs::read_to_string(root.join(".cargo/config.toml")).unwrap();
    for (name, text) in [("Cargo.toml", manifest), (".cargo/config.toml", config)] {
        assert!(!text.contains("debug-assertions"), "{name} says where debug assertions are");
    }
}
