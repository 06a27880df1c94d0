//! Tests of user rules and of hostile output.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use longhaul_insight::failure::{
    Analyzer, Finding, MAX_BLOCK_LEN, MAX_BLOCK_LINES, MAX_FINDINGS, MAX_MESSAGE_LEN, RuleError, RuleSet,
    Stream, primary,
};
use proptest::prelude::*;
use std::sync::Arc;

fn analyze_with(rules: Arc<RuleSet>, output: &[u8]) -> Vec<Finding> {
    let mut analyzer = Analyzer::new(rules);
    analyzer.push(Stream::Stdout, 0, output);
    analyzer.finish()
}

fn analyze(output: &str) -> Vec<Finding> {
    analyze_with(RuleSet::builtin(), output.as_bytes())
}

fn message(findings: &[Finding]) -> &str {
    primary(findings).map_or("", |finding| &finding.message)
}

fn with_rules(rules: &str, output: &str) -> Vec<Finding> {
    analyze_with(Arc::new(RuleSet::parse(rules).unwrap()), output.as_bytes())
}

#[test]
fn embedded_rules_compile() {
    assert!(RuleSet::parse("").is_ok());
    assert!(!analyze("main.c:1:2: error: bad\n").is_empty());
}

#[test]
fn rule_of_a_user_comes_before_the_embedded_rules() {
    let rule = r#"
        [[rule]]
        name = "migration"
        kind = "migration_failed"
        pattern = '^error: migration (?P<name>\w+) of (?P<file>\S+):(?P<line>\d+) failed: (?P<message>.+)'
        message = "${name}: ${message}"
        weight = 90
        block = { while = '^\s', max_lines = 3 }
    "#;
    let output = "start\nerror: migration m17 of db/17.sql:4 failed: no table\n  one\n  two\n  three\nend\n";
    let findings = with_rules(rule, output);
    assert_eq!(findings.len(), 1);
    let finding = &findings[0];
    assert_eq!((finding.kind.as_str(), finding.message.as_str()), ("migration_failed", "m17: no table"));
    assert_eq!((finding.file.as_deref(), finding.line, finding.offset), (Some("db/17.sql"), Some(4), 6));
    let detail = finding.detail.as_deref().unwrap();
    assert!(detail.ends_with("  one\n  two"), "{detail}");
}

#[test]
fn rule_of_a_user_can_ignore_lines_and_read_one_stream() {
    let rules = r#"
        [[rule]]
        name = "harmless"
        kind = "none"
        pattern = "^error: deprecated"
        ignore = true

        [[rule]]
        name = "abort"
        kind = "abort"
        pattern = "^STOP .*"
        stream = "stderr"
    "#;
    let rules = Arc::new(RuleSet::parse(rules).unwrap());
    assert!(analyze_with(Arc::clone(&rules), b"error: deprecated option\nSTOP now\n").is_empty());
    let mut analyzer = Analyzer::new(rules);
    analyzer.push(Stream::Stderr, 0, b"STOP now\n");
    assert_eq!(message(&analyzer.finish()), "STOP now");
}

#[test]
fn invalid_rules_are_refused_with_the_name_of_the_rule_and_advice() {
    let rule = |rest: &str| format!("[[rule]]\nname = \"mine\"\nkind = \"mine\"\n{rest}\n");
    for (rules, expected) in [
        ("rule = 3".to_owned(), "each rule is a [[rule]] table"),
        (rule("pattern = 'a'\ncolour = 'red'"), "unknown field `colour`"),
        (rule("pattern = '(a'"), "rule \"mine\": pattern is not a usable regular expression"),
        (rule("pattern = '\\w{1000}{1000}'"), "rule \"mine\": pattern is not a usable regular expression"),
        (rule("pattern = 'a'\nmessage = '${name}'"), "pattern has no group (?P<name>…); add the group"),
        (rule("pattern = 'a'\nweight = 101"), "weight 101 is too great; use 0 to 100"),
        (rule("pattern = 'a'\nblock = {}"), "the block has no end; set until, while or max_lines"),
        (rule("pattern = 'a'\nblock = { until = '(' }"), "block.until is not a usable regular expression"),
        (rule("pattern = 'a'").replace("kind = \"mine\"", "kind = \"My Kind\""), "\"My Kind\" is not a slug"),
        (rule("pattern = 'a'").repeat(2), "rule \"mine\": another rule has the same name"),
    ] {
        let error = RuleSet::parse(&rules).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nfor\n{rules}");
    }
    let many: String = (0..201).map(|n| format!("[[rule]]\nname='r{n}'\nkind='k'\npattern='x'\n")).collect();
    assert!(matches!(RuleSet::parse(&many), Err(RuleError::TooManyRules { count: 201 })));
}

#[test]
fn final_exception_beats_the_report_of_a_wrapper() {
    let output = "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    f()\n\
                  ValueError: bad\nmake: *** [Makefile:2: all] Error 1\n";
    let findings = analyze(output);
    assert_eq!(findings.len(), 2);
    assert_eq!(message(&findings), "ValueError: bad");
}

#[test]
fn command_error_beats_the_exception_of_the_program_that_ran_it() {
    let output = "a.c:3:1: error: bad\nTraceback (most recent call last):\n  File \"b.py\", line 3, in <module>\n\
                  subprocess.CalledProcessError: Command 'gcc' returned non-zero exit status 1.\n";
    assert_eq!(message(&analyze(output)), "error: bad");
}

#[test]
fn first_compiler_error_and_last_exception_are_chosen() {
    assert_eq!(message(&analyze("a.c:1:1: error: one\nb.c:1:1: error: two\n")), "error: one");
    let trace = |name: &str| {
        format!("Traceback (most recent call last):\n  File \"a\", line 1, in f\nError: {name}\n")
    };
    assert_eq!(message(&analyze(&(trace("one") + "working\n" + &trace("two")))), "Error: two");
}

#[test]
fn truncated_traceback_states_nothing() {
    assert_eq!(analyze("Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    f("), []);
}

#[test]
fn truncated_panic_contains_the_printed_text() {
    let findings = analyze("thread 'main' panicked at src/a.rs:1:2:\nno settin");
    assert_eq!((message(&findings), findings[0].line), ("no settin", Some(1)));
}

#[test]
fn gap_in_the_output_ends_the_trace_and_drops_the_lines_around_it() {
    let mut analyzer = Analyzer::new(RuleSet::builtin());
    analyzer.push(Stream::Stderr, 0, b"Traceback (most recent call last):\n  File \"a.py\", li");
    analyzer.push(Stream::Stderr, 900, b"ne 3, in f\nValueError: bad\na.c:1:1: error: one\n");
    let findings = analyzer.finish();
    assert_eq!(findings.len(), 1);
    assert_eq!((message(&findings), findings[0].offset), ("error: one", 927));
}

#[test]
fn repeated_bytes_are_read_once() {
    let mut analyzer = Analyzer::new(RuleSet::builtin());
    analyzer.push(Stream::Stderr, 0, b"a.c:1:1: error: one\nb.c:1:1: err");
    analyzer.push(Stream::Stderr, 20, b"b.c:1:1: error: two\n");
    analyzer.push(Stream::Stderr, 0, b"a.c:1:1: error: one\n");
    let messages: Vec<_> =
        analyzer.finish().into_iter().map(|finding| (finding.offset, finding.message)).collect();
    assert_eq!(messages, [(0, "error: one".to_owned()), (20, "error: two".to_owned())]);
}

#[test]
fn streams_do_not_mix() {
    let mut analyzer = Analyzer::new(RuleSet::builtin());
    let mut offset = 0;
    for (stream, bytes) in [
        (Stream::Stderr, "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n"),
        (Stream::Stdout, "half a "),
        (Stream::Stderr, "Value"),
        (Stream::Stdout, "line\n"),
        (Stream::Stderr, "Error: bad\n"),
    ] {
        analyzer.push(stream, offset, bytes.as_bytes());
        offset += u64::try_from(bytes.len()).unwrap();
    }
    let findings = analyzer.finish();
    assert_eq!((message(&findings), findings[0].stream), ("ValueError: bad", Stream::Stderr));
    assert_eq!(findings[0].detail.as_deref().unwrap().lines().count(), 3);
}

#[test]
fn colours_do_not_hide_an_error() {
    assert_eq!(message(&analyze("\x1b[1ma.c:1:2: \x1b[31mer\x1b[0mror: \x1b[0mbad\n")), "error: bad");
}

#[test]
fn many_errors_need_bounded_memory_and_the_best_one_is_found() {
    let mut output = "error: common\n\n".repeat(50_000);
    output.push_str("a.c:1:1: error: rare\n");
    let findings = analyze(&output);
    assert_eq!(findings.len(), MAX_FINDINGS);
    assert_eq!(message(&findings), "error: rare");
}

#[test]
fn huge_lines_and_blocks_are_cut() {
    let line = format!("error[E0308]: {}\n", "ä".repeat(100_000));
    let block = line + &"  | x\n".repeat(100_000);
    let findings = analyze(&block);
    assert_eq!(findings.len(), 1);
    let detail = findings[0].detail.as_deref().unwrap();
    assert!(findings[0].message.len() <= MAX_MESSAGE_LEN);
    assert!(detail.len() <= MAX_BLOCK_LEN && detail.lines().count() <= MAX_BLOCK_LINES);
}

#[test]
fn endless_traces_need_bounded_memory() {
    for (head, frame) in [
        ("Traceback (most recent call last):\n", "  File \"a.py\", line 3, in f\n    f()\n"),
        ("java.lang.StackOverflowError\n", "\tat a.B.c(B.java:3)\n"),
        ("panic: x\n\ngoroutine 1 [running]:\n", "main.f()\n\t/a/b.go:3 +0x1\n"),
        ("thread 'main' panicked at a.rs:1:1:\nx\nstack backtrace:\n", "   0: f\n             at a.rs:1:1\n"),
    ] {
        let findings = analyze(&format!("{head}{}", frame.repeat(50_000)));
        for finding in &findings {
            assert!(finding.detail.as_ref().unwrap().lines().count() <= MAX_BLOCK_LINES);
        }
        assert!(findings.len() <= 1);
    }
}

#[test]
fn lines_that_only_look_like_the_start_of_a_trace_state_nothing() {
    for output in [
        "Traceback (most recent call last): see the manual\n",
        "  File \"a.py\", line 3\nis the place of the setting\n",
        "/app/a.js:3\n/app/b.js:4\n/app/c.js:5\ndone\n",
        "goroutine 1 [running]:\nmain.f()\n",
        "    at f (/app/a.js:1:2)\n",
        "thread 'main' panicked at the disco\n",
    ] {
        assert_eq!(analyze(output), [], "{output}");
    }
}

/// Returns one of the lines that errors consist of. Random output that is built from them contains many errors.
fn any_line() -> impl Strategy<Value = String> {
    let lines = [
        "Traceback (most recent call last):",
        "  + Exception Group Traceback (most recent call last):",
        "  File \"a.py\", line 3, in f",
        "  File \"a.py\", line 3",
        "  | ValueError: bad",
        "ValueError: bad",
        "The above exception was the direct cause of the following exception:",
        "/app/a.js:3",
        "    ^",
        "    at f (/app/a.js:1:2) {",
        "  [cause]: Error: x",
        "}",
        "\tat a.B.c(B.java:3)",
        "Caused by: a.B: c",
        "panic: x",
        "goroutine 1 [running]:",
        "\t/a/b.go:3 +0x1",
        "thread 'main' panicked at a.rs:1:1:",
        "  left: 1",
        "stack backtrace:",
        "error[E0308]: mismatched",
        " --> a.rs:1:2",
        "a.c:1:2: error: x",
        "  | x",
        "error: x",
        "make: *** [all] Error 1",
        "\x1b[31mError: red\x1b[0m",
        "10%\rError: late",
        "ordinary line",
        "",
    ];
    prop_oneof![4 => prop::sample::select(lines.to_vec()).prop_map(str::to_owned), 1 => ".{0,40}"]
}

proptest! {
    #[test]
    fn findings_do_not_depend_on_the_pieces(
        lines in prop::collection::vec(any_line(), 0..60),
        cuts in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let output = lines.join("\n").into_bytes();
        let (mut analyzer, mut rest, mut offset) = (Analyzer::new(RuleSet::builtin()), &output[..], 0_u64);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            analyzer.push(Stream::Stdout, offset, piece);
            offset += u64::try_from(piece.len()).unwrap();
            rest = behind;
        }
        prop_assert_eq!(analyzer.finish(), analyze_with(RuleSet::builtin(), &output));
    }

    #[test]
    fn any_bytes_at_any_offset_are_read(
        pieces in prop::collection::vec((any::<bool>(), 0_u64..500, prop::collection::vec(any::<u8>(), 0..60)), 0..20),
    ) {
        let mut analyzer = Analyzer::new(RuleSet::builtin());
        for (is_stdout, offset, bytes) in pieces {
            analyzer.push(if is_stdout { Stream::Stdout } else { Stream::Stderr }, offset, &bytes);
        }
        prop_assert!(analyzer.finish().len() <= MAX_FINDINGS);
    }
}
