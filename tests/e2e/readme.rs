//! Every command block of the README and of two pages of the guide runs and prints what the page shows.
//!
//! In a `console` block, a line that starts with `$ ` is a command. The lines below it are its output, including standard
//! error. The pages show the output on a terminal without hints, and the test reads the output through a pipe. Values that
//! differ from run to run, and the decoration of a terminal, are therefore normalised before the comparison (`Patterns`).
//! A line that is only `...` matches any number of lines. The blocks of a page run in order in one shell. A `sh` block
//! contains commands that are not run; their programs must exist.

use longhaul_tests::{Home, program};
use regex::Regex;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const README: &str = include_str!("../../README.md");
const TOUR: &str = include_str!("../../docs/tour.md");
const QUEUES: &str = include_str!("../../docs/queues.md");
const COOKBOOK: &str = include_str!("../../docs/cookbook.md");
/// Line that the shell prints after each command.
const MARK: &str = "-- done --";

#[test]
fn every_console_block_of_the_readme_prints_the_shown_output() {
    run_console_blocks(README);
}

#[test]
fn every_console_block_of_the_tour_prints_the_shown_output() {
    run_console_blocks(TOUR);
}

#[test]
fn every_console_block_of_the_page_about_queues_prints_the_shown_output() {
    run_console_blocks(QUEUES);
}

fn run_console_blocks(page: &'static str) {
    let home = Home::new();
    let patterns = Patterns::new();
    let steps: Vec<Step> = blocks(page, "console").flat_map(|block| steps(&block)).collect();
    assert!(steps.len() > 10, "the page has no commands");
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
        // Redirect the input of the command. The shell reads its script from its standard input, and a command in the
        // foreground would inherit that input.
        writeln!(stdin, "{{ {}\n}} < /dev/null\necho \"{MARK}\"", step.command).unwrap();
        let printed: Vec<String> = lines
            .by_ref()
            .map(Result::unwrap)
            .take_while(|line| line != MARK)
            .map(|line| patterns.normalised(&line))
            .collect();
        let expected: Vec<String> = step.output.iter().map(|line| patterns.normalised(line)).collect();
        let (expected, printed): (Vec<&str>, Vec<&str>) =
            (expected.iter().map(String::as_str).collect(), printed.iter().map(String::as_str).collect());
        assert!(
            matches_all(&expected, &printed),
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
fn every_program_that_the_pages_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for page in [README, TOUR, COOKBOOK] {
        let commands: Vec<String> =
            blocks(page, "sh").flatten().filter(|line| !line.trim().is_empty()).collect();
        assert!(commands.len() >= 3);
        for command in commands {
            let first = command.split_whitespace().next().unwrap();
            let known = matches!(first, "cargo" | "longhaul" | "curl" | "for") || root.join(first).is_file();
            assert!(known, "{command}");
        }
    }
}

/// Patterns for the parts of an output that differ between a documentation page and a run, with their replacements.
struct Patterns(Vec<(Regex, &'static str)>);

impl Patterns {
    fn new() -> Self {
        let patterns = [
            // These patterns remove the symbol before a status, and the bar before a percentage.
            (r"[●◌✓✗⊘] ", ""),
            (r"\* (running)", "$1"),
            (r"^(└─|`-) ", ""),
            (r"[█░]+\s+(\d+%)", "$1"),
            (r"\t|  +", "\t"),
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
            (r"\b[0-9a-f]{8}\b", "ID"),
            (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "DURATION"),
            (r"\b\d+(\.\d+)?(ms|s|m|h)\b( ago)?", "DURATION"),
            (r"\tnow(\t|$)", "\tDURATION$1"),
            (r"\(now\)", "(DURATION)"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME"),
            (r"PATH \([^)]*\)", "PATH (DIRS)"),
            // The number of descendants that had to be killed depends on the moment of the cancel.
            (r"\((SIGTERM|SIGKILL), [^)]*\)", "($1)"),
        ];
        Self(patterns.map(|(pattern, word)| (Regex::new(pattern).unwrap(), word)).into())
    }

    fn normalised(&self, line: &str) -> String {
        let replace = |line: String, (pattern, word): &(Regex, &'static str)| {
            pattern.replace_all(&line, *word).into_owned()
        };
        self.0.iter().fold(line.trim_end().to_owned(), replace)
    }
}

struct Step {
    command: String,
    output: Vec<String>,
}

fn blocks(page: &'static str, language: &str) -> impl Iterator<Item = Vec<String>> {
    let open = format!("```{language}");
    let mut lines = page.lines();
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
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, others)| line == first && matches_all(rest, others))
        }
    }
}
