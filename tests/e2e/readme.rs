//! Every command block of the README runs and prints what it says.
//!
//! In a `console` block a line that begins with `$ ` is a command; what follows is its output, standard error included.
//! `[..]` stands for anything within a line, and a line that is only `...` for any number of lines. The blocks run in
//! order in one shell, as a reader would type them. A `sh` block holds commands without output, checked to exist.

use longhaul_tests::{Home, program};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const README: &str = include_str!("../../README.md");
/// Printed by the shell after each command, with its exit code.
const MARK: &str = "-- done --";

#[test]
fn every_console_block_prints_what_it_says() {
    let home = Home::new();
    let steps: Vec<Step> = blocks("console").flat_map(|block| steps(&block)).collect();
    assert!(steps.len() > 10, "the tour is gone");
    let bin = program("longhaul");
    let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash")
        .current_dir(home.work())
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("LONGHAUL_STATE_DIR", home.state())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
    writeln!(stdin, "exec 2>&1").unwrap();
    for step in steps {
        // The shell reads its script from its standard input, which a command in the foreground would be handed.
        writeln!(stdin, "{{ {}\n}} < /dev/null\necho \"{MARK}\"", step.command).unwrap();
        let printed: Vec<String> =
            lines.by_ref().map(Result::unwrap).take_while(|line| line != MARK).collect();
        let expected: Vec<&str> = step.output.iter().map(String::as_str).collect();
        assert!(
            matches_all(&expected, &printed.iter().map(String::as_str).collect::<Vec<_>>()),
            "$ {}\nexpected:\n{}\nprinted:\n{}",
            step.command,
            expected.join("\n"),
            printed.join("\n")
        );
    }
    drop(stdin);
    shell.wait().unwrap();
}

#[test]
fn every_script_that_the_readme_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let commands: Vec<String> = blocks("sh").flatten().filter(|line| !line.trim().is_empty()).collect();
    assert!(commands.len() >= 3);
    for command in commands {
        let first = command.split_whitespace().next().unwrap();
        let known =
            matches!(first, "cargo" | "git" | "cd" | "longhaul" | "curl") || root.join(first).is_file();
        assert!(known, "{command}");
    }
}

struct Step {
    command: String,
    output: Vec<String>,
}

fn blocks(language: &str) -> impl Iterator<Item = Vec<String>> {
    let open = format!("```{language}");
    let mut lines = README.lines();
    std::iter::from_fn(move || {
        lines.by_ref().find(|line| *line == open)?;
        Some(lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect())
    })
}

fn steps(block: &[String]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), output: Vec::new() }),
            (None, Some(step)) => step.output.push(line.clone()),
            (None, None) => {}
        }
    }
    steps
}

fn matches_all(expected: &[&str], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => {
            (0..=printed.len()).any(|skipped| matches_all(rest, printed.get(skipped..).unwrap_or_default()))
        }
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(first, others)| matches(line, first.trim_end()) && matches_all(rest, others)),
    }
}

/// Whether a line fits a pattern with `[..]` in it.
fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split("[..]");
    let begin = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(begin) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last == Some("")
}
