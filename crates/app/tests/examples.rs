//! Runs the examples, and checks that `docs/compose.md` quotes them correctly.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs an example to its end and returns its stdout.
fn run(name: &str) -> String {
    let own = std::env::current_exe().unwrap();
    let example = own.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(example.exists(), "{} is missing: run scripts/test, which builds it first", example.display());
    let output = Command::new(example).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_embedded_engine_runs_a_command() {
    assert_eq!(run("embed"), "hello from below\nit is completed\n");
}

#[test]
fn a_handle_is_found_by_its_state_directory() {
    assert_eq!(run("handle"), "attempt 1 has started\nit is failed\n");
}

#[test]
fn a_store_of_ones_own_carries_an_engine() {
    let trail = run("own_store");
    assert!(trail.lines().next().is_some_and(|line| line.ends_with(" submitted")), "{trail}");
    assert!(trail.lines().last().is_some_and(|line| line.contains(" ended by here at ")), "{trail}");
}

#[test]
fn a_custom_spawner_runs_functions_and_refuses_unsupported_actions() {
    let said = run("own_spawner");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines.iter().filter(|line| !line.starts_with("pause: ")).copied().collect::<Vec<_>>(),
        ["sorted a b is completed", "sorted b a is failed", "unknown is failed", "idle is cancelled"]
    );
    assert!(lines.iter().any(|line| line.starts_with("pause: ") && line.contains("pause")), "{said}");
}

#[test]
fn a_deployment_of_ones_own_keeps_its_property() {
    assert_eq!(run("property_test"), "8 random lives kept their slots and ended\n");
}

#[test]
fn a_service_mounts_the_routes_next_to_its_own_routes() {
    let said = run("mount_routes");
    assert!(said.contains("hello from the service itself\nthe job is completed: true\n"), "{said}");
}

/// Each Rust code block in the guide follows a line `<!-- from NAME.rs -->`. All lines of the block must appear in that
/// example, in the same order and without gaps.
#[test]
fn every_block_of_the_guide_stands_in_its_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(root.join("../../docs/compose.md")).unwrap();
    let (mut blocks, mut from) = (0, None);
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("<!-- from ").and_then(|rest| rest.strip_suffix(" -->")) {
            from = Some(name);
        }
        if line == "```rust" {
            let shown: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").map(str::trim).collect();
            let name = from.take().expect("a block says which example it is from");
            let path: PathBuf = root.join("examples").join(name);
            let text = std::fs::read_to_string(path).unwrap();
            let text: Vec<&str> = text.lines().map(str::trim).collect();
            let stands = text.windows(shown.len()).any(|window| window == shown);
            assert!(stands, "{name} holds no such lines:\n{}", shown.join("\n"));
            blocks += 1;
        }
    }
    assert!(blocks >= 5, "the guide shows something of every example");
}
