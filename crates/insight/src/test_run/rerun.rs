//! The command that runs the failed tests again.

use super::case::{Framework, TestPhase};
use super::failed_test::FailedTest;

/// Maximum total length of the arguments of a command in bytes. The kernel accepts about 2 MiB together with the
/// environment, and 128 KiB in one argument.
const MAX_ARGUMENTS_LEN: usize = 100 * 1024;

/// Returns the command that runs only the failed tests of a run again.
///
/// The options of the command are kept, except that the options that select tests are replaced. The function returns
/// `None` if no test failed, if the framework cannot select tests by name, if the framework is known only from the
/// output, or if the command would be too long.
#[must_use]
pub fn rerun_command(framework: Framework, argv: &[String], failed: &[FailedTest]) -> Option<Vec<String>> {
    if failed.is_empty() {
        return None;
    }
    let argv = &without_shell(argv);
    let start = first_argument(framework, argv)?;
    let (command, arguments) = argv.split_at_checked(start)?;
    let mut rerun = command.to_vec();
    match framework {
        Framework::Pytest => {
            rerun.extend(kept(arguments, &PYTEST_SELECTION, &PYTEST_VALUES));
            // A test is listed twice if its tear-down failed too.
            let mut ids: Vec<String> = failed.iter().map(|failed| failed.id.clone()).collect();
            ids.dedup();
            rerun.extend(ids);
        }
        Framework::CargoTest => rerun.extend(cargo_arguments(arguments, failed)),
        Framework::Nextest => {
            rerun.extend(kept(before_dashes(arguments), &NEXTEST_SELECTION, &CARGO_VALUES));
            rerun.push("-E".to_owned());
            rerun.push(nextest_filter(failed));
        }
        Framework::GoTest => rerun.extend(go_arguments(arguments, failed)),
        Framework::Jest | Framework::Vitest => {
            rerun.extend(kept(arguments, &["-t", "--testNamePattern"], &SCRIPT_VALUES));
            rerun.extend(script_selection(framework, failed));
        }
        Framework::Tap | Framework::Junit => return None,
    }
    let length: usize = rerun.iter().map(|argument| argument.len().saturating_add(1)).sum();
    (length <= MAX_ARGUMENTS_LEN).then_some(rerun)
}

/// Options of pytest that select tests. Each has a value.
const PYTEST_SELECTION: [&str; 4] = ["-k", "--deselect", "--ignore", "--ignore-glob"];
/// Options of all frameworks that select tests or stop a run early, and that have no value.
const FLAGS: [&str; 12] = [
    "--lf",
    "--last-failed",
    "--ff",
    "--failed-first",
    "--sw",
    "--stepwise",
    "-x",
    "--exitfirst",
    "--doc",
    "--exact",
    "--onlyFailures",
    "--onlyChanged",
];
/// Options of pytest whose value is the next word.
const PYTEST_VALUES: [&str; 27] = [
    "-m",
    "-c",
    "-n",
    "-o",
    "-p",
    "-r",
    "-W",
    "--maxfail",
    "--rootdir",
    "--junitxml",
    "--junit-xml",
    "--tb",
    "--durations",
    "--dist",
    "--timeout",
    "--cov",
    "--cov-report",
    "--basetemp",
    "--confcutdir",
    "--log-level",
    "--log-cli-level",
    "--reruns",
    "--reruns-delay",
    "--import-mode",
    "--capture",
    "--color",
    "--numprocesses",
];
/// Options of nextest that select tests.
const NEXTEST_SELECTION: [&str; 4] = ["-E", "--filter-expr", "--filterset", "--partition"];
/// Options of cargo whose value is the next word.
const CARGO_VALUES: [&str; 16] = [
    "-p",
    "--package",
    "--exclude",
    "-F",
    "--features",
    "--test",
    "--example",
    "--bench",
    "--bin",
    "--target",
    "--target-dir",
    "--manifest-path",
    "--profile",
    "-j",
    "--jobs",
    "--color",
];
/// Options of go whose value is the next word.
const GO_VALUES: [&str; 10] = [
    "-count",
    "-timeout",
    "-tags",
    "-parallel",
    "-cpu",
    "-coverprofile",
    "-covermode",
    "-p",
    "-shuffle",
    "-o",
];
/// Options of Jest and Vitest whose value is the next word.
const SCRIPT_VALUES: [&str; 12] = [
    "-c",
    "--config",
    "--reporter",
    "--reporters",
    "--outputFile",
    "--root",
    "--rootDir",
    "--dir",
    "-w",
    "--maxWorkers",
    "--project",
    "--environment",
];

/// Replaces a shell and its script by the command in the script, if the script is a single command without quotes,
/// expansions, assignments and other syntax of the shell.
fn without_shell(argv: &[String]) -> Vec<String> {
    let is_plain = |script: &str| {
        script.chars().all(|c| c.is_ascii_alphanumeric() || " _-./:,@%+=".contains(c))
            && !script.split_whitespace().next().unwrap_or_default().contains('=')
    };
    match argv {
        [shell, option, script] if super::detect::is_shell(shell) && option == "-c" && is_plain(script) => {
            script.split_whitespace().map(str::to_owned).collect()
        }
        _ => argv.to_vec(),
    }
}

/// Returns the index of the first argument after the name of the framework.
fn first_argument(framework: Framework, argv: &[String]) -> Option<usize> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let detected = super::detect::detect_words(&words)?;
    let is_name = |word: &str| {
        let base = super::detect::base_name(word);
        match framework {
            Framework::Pytest => matches!(base, "pytest" | "py.test"),
            Framework::CargoTest => matches!(word, "test" | "t"),
            Framework::Nextest => matches!(word, "run" | "r"),
            Framework::GoTest => word == "test",
            Framework::Jest => base == "jest",
            Framework::Vitest => base == "vitest",
            Framework::Tap | Framework::Junit => false,
        }
    };
    let name = argv.iter().position(|word| is_name(word))?;
    let is_command =
        |word: &String| framework == Framework::Vitest && matches!(word.as_str(), "run" | "watch" | "dev");
    let has_command = argv.get(name.saturating_add(1)).is_some_and(is_command);
    (detected.framework == Some(framework))
        .then(|| name.saturating_add(1).saturating_add(usize::from(has_command)))
}

/// Returns the arguments without those that select tests. Removes the options in `selection` with their values, and all
/// words that are not options.
fn kept(arguments: &[String], selection: &[&str], with_value: &[&str]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or_default();
        if selection.contains(&name) {
            if !word.contains('=') {
                words.next();
            }
        } else if FLAGS.contains(&name) {
            // A flag that selects tests is dropped.
        } else if word.starts_with('-') && word != "--" {
            kept.push(word.clone());
            if with_value.contains(&word.as_str()) {
                kept.extend(words.next().cloned());
            }
        }
    }
    kept
}

fn before_dashes(arguments: &[String]) -> &[String] {
    let end = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    arguments.get(..end).unwrap_or(arguments)
}

/// Returns the arguments of `cargo test`. `--exact` and the names of the failed tests follow after `--`.
///
/// Documentation tests do not accept `--exact`. If a documentation test failed, the command also runs all tests whose
/// names contain the name of a failed test.
fn cargo_arguments(arguments: &[String], failed: &[FailedTest]) -> Vec<String> {
    let front = before_dashes(arguments);
    let behind = arguments.get(front.len().saturating_add(1)..).unwrap_or_default();
    let mut rerun = kept(front, &[], &CARGO_VALUES);
    rerun.push("--".to_owned());
    let with_value = ["--skip", "--test-threads", "--format", "--color", "-Z", "--logfile", "--shuffle-seed"];
    rerun.extend(kept(behind, &["--skip"], &with_value));
    let has_documentation_test = failed.iter().any(|failed| failed.id.contains(" - "));
    if !has_documentation_test {
        rerun.push("--exact".to_owned());
    }
    rerun.extend(failed.iter().map(|failed| failed.id.clone()));
    rerun
}

/// Returns a filter such as `test(=a) | test(=b)`. Some characters need a backslash in the filter language.
fn nextest_filter(failed: &[FailedTest]) -> String {
    let escaped = |id: &str| {
        let mut name = String::new();
        for c in id.chars() {
            if matches!(c, '\\' | ')' | ',' | '(') {
                name.push('\\');
            }
            name.push(c);
        }
        format!("test(={name})")
    };
    let names: Vec<String> = failed.iter().map(|failed| escaped(&failed.id)).collect();
    names.join(" | ")
}

/// Returns the arguments of `go test`: the names of the failed tests in `-run`, and the original packages. For a
/// subtest, the top-level test that contains it is run.
fn go_arguments(arguments: &[String], failed: &[FailedTest]) -> Vec<String> {
    let tests = failed.iter().filter(|failed| failed.phase != TestPhase::Collect);
    let mut names: Vec<String> =
        tests.map(|failed| regex::escape(failed.id.split('/').next().unwrap_or_default())).collect();
    names.sort();
    names.dedup();
    let mut rerun = Vec::new();
    if !names.is_empty() {
        rerun.extend(["-run".to_owned(), format!("^({})$", names.join("|"))]);
    }
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or_default();
        if matches!(name, "-run" | "--run") {
            if !word.contains('=') {
                words.next();
            }
            continue;
        }
        rerun.push(word.clone());
        if GO_VALUES.contains(&word.as_str()) {
            rerun.extend(words.next().cloned());
        }
    }
    rerun
}

/// Returns `-t` with a pattern for the names of the failed tests, and their files. If the tests of a file could not
/// run, the whole file is run.
fn script_selection(framework: Framework, failed: &[FailedTest]) -> Vec<String> {
    let has_broken_file = failed.iter().any(|failed| failed.phase == TestPhase::Collect);
    let file_of = |failed: &FailedTest| {
        let file = failed.file.as_ref()?;
        // Jest interprets a file name as a regular expression.
        let is_special = framework == Framework::Jest && file.contains(|c| "[](){}+*?^$|\\".contains(c));
        Some(if is_special { regex::escape(file) } else { file.clone() })
    };
    let mut files: Vec<String> = failed.iter().filter_map(file_of).collect();
    files.sort();
    files.dedup();
    let mut names: Vec<String> = failed.iter().map(|failed| regex::escape(&failed.id)).collect();
    names.sort();
    names.dedup();
    let mut selection = files;
    // If the tests of a file could not run, their names are unknown, and a pattern would skip them.
    if !has_broken_file {
        selection.extend(["-t".to_owned(), format!("^({})$", names.join("|"))]);
    }
    selection
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(ids: &[&str], file: Option<&str>) -> Vec<FailedTest> {
        let test = |id: &&str| FailedTest {
            id: (*id).to_owned(),
            file: file.map(str::to_owned),
            ..FailedTest::default()
        };
        ids.iter().map(test).collect()
    }

    fn rerun(framework: Framework, command: &str, ids: &[&str], file: Option<&str>) -> Option<Vec<String>> {
        let argv: Vec<String> = command.split(' ').map(str::to_owned).collect();
        rerun_command(framework, &argv, &failed(ids, file))
    }

    #[test]
    fn single_command_of_a_shell_script_is_run_without_the_shell() {
        let of_script = |script: &str| {
            let argv = ["/bin/sh", "-c", script].map(str::to_owned);
            rerun_command(Framework::Pytest, &argv, &failed(&["t.py::a"], None))
        };
        let expected = ["pytest", "-q", "t.py::a"].map(str::to_owned).to_vec();
        assert_eq!(of_script("pytest -q tests"), Some(expected));
        for script in ["pytest $ARGS", "cd a && pytest", "pytest 'a b'", "A=1 pytest", "pytest | tee log"] {
            assert_eq!(of_script(script), None, "{script}");
        }
    }

    #[test]
    fn failed_tests_replace_the_selection_and_options_stay() {
        for (framework, command, ids, file, expected) in [
            (
                Framework::Pytest,
                "python -m pytest -q -n 2 -k fast tests --tb=short",
                &["a.py::test_b[x y]", "a.py::C::test_d"][..],
                None,
                "python|-m|pytest|-q|-n|2|--tb=short|a.py::test_b[x y]|a.py::C::test_d",
            ),
            (
                Framework::CargoTest,
                "cargo test -p a --lib old -- --nocapture --exact old",
                &["tests::bad"],
                None,
                "cargo|test|-p|a|--lib|--|--nocapture|--exact|tests::bad",
            ),
            (
                Framework::CargoTest,
                "cargo test",
                &["tests::bad", "src/lib.rs - add (line 1)"],
                None,
                "cargo|test|--|tests::bad|src/lib.rs - add (line 1)",
            ),
            (
                Framework::Nextest,
                "cargo nextest run -p a -E test(old) old",
                &["a", "b::c"],
                None,
                "cargo|nextest|run|-p|a|-E|test(=a) / test(=b::c)",
            ),
            (
                Framework::GoTest,
                "go test -run Old -count 1 ./...",
                &["TestA", "TestB/x y", "TestB/z"],
                None,
                "go|test|-run|^(TestA/TestB)$|-count|1|./...",
            ),
            (
                Framework::Jest,
                "npx jest --ci old.test.js -t old",
                &["outer (1.5) a [b]"],
                Some("c.test.js"),
                "npx|jest|--ci|c.test.js|-t|^(outer \\(1\\.5\\) a \\[b\\])$",
            ),
            (
                Framework::Vitest,
                "vitest run old",
                &["cart total"],
                Some("a.test.js"),
                "vitest|run|a.test.js|-t|^(cart total)$",
            ),
        ] {
            let found = rerun(framework, command, ids, file).map(|argv| argv.join("\0").replace('|', "/"));
            assert_eq!(found.map(|argv| argv.replace('\0', "|")).as_deref(), Some(expected), "{command}");
        }
    }

    #[test]
    fn there_is_no_command_without_failures_or_for_too_many() {
        assert_eq!(rerun(Framework::Pytest, "pytest", &[], None), None);
        assert_eq!(rerun(Framework::Tap, "prove -v", &["a"], None), None);
        assert_eq!(rerun(Framework::Jest, "npm test", &["a"], None), None);
        let long: Vec<String> = (0..200).map(|number| format!("{number}{}", "n".repeat(1000))).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        assert_eq!(rerun(Framework::Pytest, "pytest", &long, None), None);
        let twice = ["a.py::t", "a.py::t"];
        assert_eq!(rerun(Framework::Pytest, "pytest", &twice, None).map(|argv| argv.len()), Some(2));
    }
}
