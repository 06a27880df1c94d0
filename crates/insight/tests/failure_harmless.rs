//! Checks that lines which only mention an error do not hide the error that ended the command.

use longhaul_insight::failure::{Analyzer, Finding, RuleSet, Stream, primary};

/// Lines of commands that continued: logs, names of tests, errors that were handled, and retries that succeeded.
const HARMLESS: &str = include_str!("../fixtures/failure/harmless.txt");

/// Ends of failed commands, each with the message of its error.
const ENDS: [(&str, &str); 8] = [
    (
        "Traceback (most recent call last):\n  File \"/app/run.py\", line 9, in <module>\n    main()\n\
         ValueError: bad port 99999\n",
        "ValueError: bad port 99999",
    ),
    ("src/main.c:7:3: error: expected ';' before 'return'\n", "error: expected ';' before 'return'"),
    (
        "error[E0308]: mismatched types\n --> src/lib.rs:4:5\n  |\n4 |     1\n\n",
        "error[E0308]: mismatched types",
    ),
    ("thread 'main' panicked at src/main.rs:2:18:\nindex out of bounds\n", "index out of bounds"),
    ("error: the configuration has no section [server]\n", "the configuration has no section [server]"),
    ("Error: cannot start: the licence has expired\n", "cannot start: the licence has expired"),
    (
        "panic: no settings\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:5 +0x1\nexit status 2\n",
        "panic: no settings",
    ),
    (
        "/app/a.js:2\n    throw new Error('boom')\n    ^\n\nError: boom\n    at start (/app/a.js:2:9)\n",
        "Error: boom",
    ),
];

fn analyze(output: &str) -> Vec<Finding> {
    let mut analyzer = Analyzer::new(RuleSet::builtin());
    analyzer.push(Stream::Stdout, 0, output.as_bytes());
    analyzer.finish()
}

fn harmless() -> impl Iterator<Item = &'static str> {
    HARMLESS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[test]
fn line_that_only_mentions_an_error_does_not_hide_the_error_after_it() {
    assert!(harmless().count() >= 20);
    let mut wrong = String::new();
    for line in harmless() {
        for (end, expected) in ENDS {
            let findings = analyze(&format!("starting\n{line}\ngoing on\n{end}"));
            let found = primary(&findings).map_or("", |finding| &finding.message);
            if found != expected {
                wrong.push_str(&format!("{line}\n    found {found:?} instead of {expected:?}\n"));
            }
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn all_such_lines_together_do_not_hide_it_either() {
    let lines: Vec<&str> = harmless().collect();
    for (end, expected) in ENDS {
        let findings = analyze(&format!("{}\n{end}", lines.join("\n")));
        assert_eq!(primary(&findings).unwrap().message, expected);
    }
}

#[test]
fn exception_that_was_logged_and_handled_does_not_hide_the_one_that_ended_the_command() {
    let trace = |error: &str| {
        format!(
            "Traceback (most recent call last):\n  File \"/app/a.py\", line 3, in work\n    f()\n{error}\n"
        )
    };
    let handled = trace("OSError: [Errno 28] No space left on device");
    let output = format!("{handled}using the spare disk\n{}", trace("ValueError: bad"));
    assert_eq!(primary(&analyze(&output)).unwrap().message, "ValueError: bad");
    let wrapper = trace("subprocess.CalledProcessError: Command 'b.py' returned non-zero exit status 1.");
    let output = format!("{handled}{wrapper}");
    let found = analyze(&output);
    assert_eq!(primary(&found).unwrap().kind, "disk_full", "a wrapper explains less");
}

#[test]
fn error_that_seems_to_be_survived_is_found_if_there_is_no_other() {
    let output = "cp: error writing 'a': No space left on device, retrying\ngiving up\n";
    let found = analyze(output);
    assert_eq!(primary(&found).unwrap().kind, "disk_full");
    let output = "make: *** [Makefile:2: all] Error 1\n";
    let found = analyze(&format!("Connection refused, retrying\n{output}"));
    assert_eq!(primary(&found).unwrap().kind, "build_failed");
}

#[test]
fn rule_of_a_user_can_demote_lines() {
    let rules =
        "[[rule]]\nname = 'spare'\nkind = 'none'\npattern = 'spare disk'\nweight = 2\ndemote = true\n";
    let mut analyzer = Analyzer::new(std::sync::Arc::new(RuleSet::parse(rules).unwrap()));
    analyzer.push(Stream::Stdout, 0, b"error: the spare disk is full\nerror: no licence\n");
    assert_eq!(primary(&analyzer.finish()).unwrap().message, "no licence");
}
