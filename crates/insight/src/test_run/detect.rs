//! Detects the test framework that a command runs.

use super::case::{Framework, TestSource};

/// A command that runs tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectedTests {
    /// Framework. `None` for a script whose framework can only be recognized in its output.
    pub framework: Option<Framework>,
    /// Most reliable source that the command itself writes to its output.
    pub output: TestSource,
}

/// Returns the framework that a command runs, or `None` if the command runs no tests.
///
/// The directory and the version suffix of the program are ignored: `/usr/bin/python3.11 -m pytest` runs pytest. If the
/// command is a shell script, its first part that runs tests is used. `environment` contains the names of the
/// environment variables. The variables of Jest and Vitest show which framework a script such as `npm test` runs.
#[must_use]
pub fn detect(argv: &[String], environment: &[&str]) -> Option<DetectedTests> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let detected = match words.as_slice() {
        [shell, .., "-c" | "-lc" | "-ec" | "-euc", script] if is_shell(shell) => detect_script(script),
        _ => detect_words(&words),
    }?;
    let has = |start: &str| environment.iter().any(|name| name.starts_with(start));
    let by_environment = || {
        let named = [("VITEST", Framework::Vitest), ("JEST_", Framework::Jest)];
        named.into_iter().find_map(|(start, framework)| has(start).then_some(framework))
    };
    Some(DetectedTests { framework: detected.framework.or_else(by_environment), ..detected })
}

pub(super) fn is_shell(program: &str) -> bool {
    matches!(base_name(program), "sh" | "bash" | "dash" | "zsh" | "ksh" | "ash")
}

/// Detects the first part of a shell script that runs tests. Quotes and expansions are not interpreted.
fn detect_script(script: &str) -> Option<DetectedTests> {
    script.split(['&', ';', '|', '\n', '(', ')']).find_map(|part| {
        let words: Vec<&str> =
            part.split_whitespace().skip_while(|word| SHELL_WORDS.contains(word)).collect();
        detect_words(skip_assignments(&words))
    })
}

/// Words of the shell that may precede a command.
const SHELL_WORDS: [&str; 11] =
    ["exec", "!", "do", "then", "else", "elif", "if", "while", "until", "{", "command"];

/// Options that make a framework run no tests.
const RUNS_NOTHING: [&str; 14] = [
    "--collect-only",
    "--co",
    "--fixtures",
    "--markers",
    "--setup-plan",
    "--no-run",
    "--list",
    "-list",
    "--listTests",
    "--showConfig",
    "--version",
    "-V",
    "--help",
    "-h",
];

/// Detects the framework in the words of a single command.
pub(super) fn detect_words(words: &[&str]) -> Option<DetectedTests> {
    let (framework, rest) = framework_of(words)?;
    if rest.iter().any(|word| RUNS_NOTHING.contains(word)) {
        return None;
    }
    let has = |option: &str| {
        rest.iter().take_while(|word| **word != "--").any(|word| {
            *word == option || word.strip_prefix(option).is_some_and(|value| value.starts_with('='))
        })
    };
    let is_machine_readable = match framework {
        Some(Framework::GoTest) => has("-json") || has("--json"),
        Some(Framework::Jest) => has("--json") && !has("--outputFile"),
        Some(Framework::Vitest) => {
            let is_json = |pair: &[&str]| matches!(pair, ["--reporter", "json"]);
            (rest.contains(&"--reporter=json") || rest.windows(2).any(is_json)) && !has("--outputFile")
        }
        // Without `-v`, `prove` prints only its report, which is text for people.
        Some(Framework::Tap) => has("-v") || has("--verbose") || has("--test"),
        Some(Framework::Pytest | Framework::CargoTest | Framework::Nextest | Framework::Junit) | None => {
            false
        }
    };
    let output = if is_machine_readable { TestSource::Stream } else { TestSource::Console };
    Some(DetectedTests { framework, output })
}

/// Returns the framework and the arguments after its name.
fn framework_of<'a>(words: &'a [&'a str]) -> Option<(Option<Framework>, &'a [&'a str])> {
    let (program, rest) = words.split_first()?;
    let found = |framework, rest| Some((Some(framework), rest));
    match base_name(program) {
        "pytest" | "py.test" => found(Framework::Pytest, rest),
        "python" | "pypy" => match skip_options(rest, &["-W", "-X"]) {
            ["-m", "pytest" | "py.test", rest @ ..] => found(Framework::Pytest, rest),
            _ => None,
        },
        "cargo" => match without_toolchain(rest) {
            ["test" | "t", rest @ ..] => found(Framework::CargoTest, rest),
            ["nextest", "run" | "r", rest @ ..] => found(Framework::Nextest, rest),
            _ => None,
        },
        "go" => match rest {
            ["test", rest @ ..] => found(Framework::GoTest, rest),
            _ => None,
        },
        "jest" => found(Framework::Jest, rest),
        "vitest" => match rest {
            ["bench" | "list" | "init", ..] => None,
            _ => found(Framework::Vitest, rest),
        },
        "npx" | "bunx" | "pnpx" => framework_of(skip_options(rest, &["-p", "--package"])),
        "npm" | "pnpm" | "yarn" | "bun" => match rest {
            ["exec" | "dlx" | "x", rest @ ..] => framework_of(skip_options(rest, &[])),
            ["run", script, rest @ ..] if is_test_script(script) => Some((None, rest)),
            [script @ ("test" | "t" | "tst"), rest @ ..] if *script != "t" || *program != "yarn" => {
                Some((None, rest))
            }
            ["jest" | "vitest", ..] => framework_of(rest),
            _ => None,
        },
        // These programs prepare an environment and then execute the rest of the command.
        "env" => {
            let with_value = ["-u", "--unset", "-C", "--chdir", "-a", "--argv0"];
            framework_of(skip_assignments(skip_options(rest, &with_value)))
        }
        "nice" | "time" | "timeout" | "xvfb-run" => wrapped(rest),
        "poetry" | "uv" | "pipenv" | "hatch" | "pdm" | "rye" => match rest {
            ["run", rest @ ..] => {
                framework_of(skip_options(rest, &["--with", "-p", "--python", "--group", "--extra"]))
            }
            _ => None,
        },
        "coverage" => match rest {
            ["run", rest @ ..] => {
                match skip_options(rest, &["--source", "--rcfile", "--omit", "--include"]) {
                    ["-m", "pytest" | "py.test", rest @ ..] => found(Framework::Pytest, rest),
                    _ => None,
                }
            }
            _ => None,
        },
        "prove" => found(Framework::Tap, rest),
        "node" if rest.contains(&"--test") => {
            let is_tap = rest.contains(&"--test-reporter=tap");
            is_tap.then_some((Some(Framework::Tap), rest))
        }
        _ => None,
    }
}

/// Returns the name of a program without its directory, its version and the executable suffix of Windows.
pub(super) fn base_name(program: &str) -> &str {
    let name = program.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = name.strip_suffix(".exe").or_else(|| name.strip_suffix(".cmd")).unwrap_or(name);
    for start in ["python", "pypy", "pytest"] {
        let version = name.strip_prefix(start).map(|version| version.trim_start_matches('-'));
        if version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')) {
            return start;
        }
    }
    name
}

/// Skips options and returns the words from the first other word on. For each option in `with_value`, the next word is
/// skipped too.
fn skip_options<'a>(words: &'a [&'a str], with_value: &[&str]) -> &'a [&'a str] {
    let mut rest = words;
    while let [option, behind @ ..] = rest {
        if *option == "-m" || !option.starts_with('-') {
            break;
        }
        rest = if with_value.contains(option) { behind.get(1..).unwrap_or_default() } else { behind };
        if *option == "--" {
            break;
        }
    }
    rest
}

fn skip_assignments<'a>(words: &'a [&'a str]) -> &'a [&'a str] {
    let start = words.iter().position(|word| !word.contains('=') && !word.starts_with('-'));
    start.and_then(|start| words.get(start..)).unwrap_or_default()
}

/// Returns the framework of the command after the options of a wrapper program such as `timeout 60`.
fn wrapped<'a>(words: &'a [&'a str]) -> Option<(Option<Framework>, &'a [&'a str])> {
    let is_argument = |word: &&&str| word.starts_with('-') || word.starts_with(|c: char| c.is_ascii_digit());
    let skipped = words.iter().take_while(is_argument).count();
    framework_of(words.get(skipped..)?)
}

/// Removes `+nightly` and the options of cargo that precede its subcommand.
fn without_toolchain<'a>(words: &'a [&'a str]) -> &'a [&'a str] {
    let words = match words {
        [toolchain, rest @ ..] if toolchain.starts_with('+') => rest,
        _ => words,
    };
    skip_options(words, &["--config", "-C", "-Z", "--color"])
}

fn is_test_script(script: &str) -> bool {
    script == "test" || script.strip_prefix("test").is_some_and(|rest| rest.starts_with([':', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(command: &str) -> Option<DetectedTests> {
        detect(&command.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), &[])
    }

    #[test]
    fn commands_that_run_tests_are_detected() {
        use Framework::{CargoTest, GoTest, Jest, Nextest, Pytest, Tap, Vitest};
        for (command, framework) in [
            ("pytest -q", Some(Pytest)),
            ("/usr/bin/python3.11 -X dev -m pytest tests", Some(Pytest)),
            ("env A=1 B=2 poetry run pytest", Some(Pytest)),
            ("env -u PYTHONPATH -i A=1 pytest", Some(Pytest)),
            ("env --unset=A -C dir pytest", Some(Pytest)),
            ("uv run --with httpx python -m pytest", Some(Pytest)),
            ("coverage run -m pytest", Some(Pytest)),
            ("timeout 60 pytest-3", Some(Pytest)),
            ("cargo +nightly test -p a -- --nocapture", Some(CargoTest)),
            ("cargo nextest run", Some(Nextest)),
            ("go test ./...", Some(GoTest)),
            ("npx jest", Some(Jest)),
            ("./node_modules/.bin/vitest run", Some(Vitest)),
            ("pnpm exec vitest", Some(Vitest)),
            ("yarn jest a.test.js", Some(Jest)),
            ("npm test", None),
            ("pnpm run test:unit", None),
            ("prove -l t", Some(Tap)),
            ("node --test --test-reporter=tap", Some(Tap)),
        ] {
            assert_eq!(detected(command).map(|found| found.framework), Some(framework), "{command}");
        }
    }

    #[test]
    fn commands_in_a_shell_and_variables_are_detected() {
        let script = |script: &str| ["bash", "-c", script].map(str::to_owned).to_vec();
        let framework = |argv: &[String], names: &[&str]| detect(argv, names).map(|found| found.framework);
        let pytest = script("cd a && A=1 pytest -q | tee log");
        assert_eq!(framework(&pytest, &[]), Some(Some(Framework::Pytest)));
        for loops in ["for d in a b; do pytest $d; done", "if true; then pytest; fi", "{ pytest; }"] {
            assert_eq!(framework(&script(loops), &[]), Some(Some(Framework::Pytest)), "{loops}");
        }
        assert_eq!(framework(&script("make; exit 1"), &[]), None);
        let npm = ["npm", "test"].map(str::to_owned);
        assert_eq!(framework(&npm, &["HOME"]), Some(None));
        assert_eq!(framework(&npm, &["HOME", "JEST_JUNIT_OUTPUT_DIR"]), Some(Some(Framework::Jest)));
    }

    #[test]
    fn other_commands_are_not_detected() {
        for command in [
            "",
            "cargo build",
            "cargo nextest list",
            "python test.py",
            "npm run build",
            "vitest list",
            "tox",
            "go vet",
            "pytest --collect-only",
            "cargo test -- --list",
            "cargo test --no-run",
            "npx jest --listTests",
        ] {
            assert_eq!(detected(command), None, "{command}");
        }
    }

    #[test]
    fn machine_readable_output_is_detected() {
        for (command, output) in [
            ("go test -json ./...", TestSource::Stream),
            ("go test ./... -args", TestSource::Console),
            ("prove t", TestSource::Console),
            ("prove -v t", TestSource::Stream),
            ("jest --json", TestSource::Stream),
            ("jest --json --outputFile=a.json", TestSource::Console),
            ("vitest run --reporter=json", TestSource::Stream),
            ("vitest run --reporter json", TestSource::Stream),
            ("cargo test -- --json", TestSource::Console),
        ] {
            assert_eq!(detected(command).map(|found| found.output), Some(output), "{command}");
        }
    }
}
