//! Property tests of all test result parsers. They accept arbitrary bytes without a panic and within their limits, the
//! result does not depend on how the bytes are split, and a hostile report never leads to invented results.

use longhaul_insight::test_run::{
    Framework, MAX_ID_LEN, MAX_TEXT_LEN, TestCase, TestCollector, TestCounts, TestEvent, TestSource,
    TestWarning, doubt, parser_of,
};
use proptest::prelude::*;

const FRAMEWORKS: [Option<Framework>; 9] = [
    None,
    Some(Framework::Pytest),
    Some(Framework::CargoTest),
    Some(Framework::Nextest),
    Some(Framework::GoTest),
    Some(Framework::Jest),
    Some(Framework::Vitest),
    Some(Framework::Tap),
    Some(Framework::Junit),
];
const SOURCES: [TestSource; 4] =
    [TestSource::Plugin, TestSource::Junit, TestSource::Stream, TestSource::Console];

/// Parts of real reports and outputs. Input that is built from them reaches deeper into the parsers than random bytes.
const PARTS: [&str; 66] = [
    "<testsuites name=\"pytest tests\" tests=\"3\">",
    "<testsuite name=\"pytest\" tests=\"2\" failures=\"1\">",
    "<testcase classname=\"a.B\" name=\"t\" time=\"0.1\"/>",
    "<testcase name=\"&lt;ä\">",
    "<failure message=\"E: m\">",
    "</failure>",
    "<skipped/>",
    "<error>",
    "</error>",
    "<flakyFailure/>",
    "<system-out>",
    "</system-out>",
    "</testcase>",
    "</testsuite>",
    "</testsuites>",
    "<![CDATA[",
    "]]>",
    "<!-- ",
    " -->",
    "&#x41;",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "{\"event\":\"start\",\"format\":1}\n",
    "{\"event\":\"phase\",\"id\":\"a\",\"phase\":\"call\",\"outcome\":\"failed\"}\n",
    "{\"event\":\"phase\",\"id\":\"a\",\"phase\":\"teardown\",\"outcome\":\"passed\"}\n",
    "{\"event\":\"finish\",\"exit\":1}\n",
    "{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"T\"}\n",
    "{\"Action\":\"fail\",\"Package\":\"p\",\"Test\":\"T\"}\n",
    "{\"Action\":\"fail\",\"Package\":\"p\"}\n",
    "{\"numTotalTests\":1,\"testResults\":[",
    "{\"assertionResults\":[",
    "{\"fullName\":\"n\",\"status\":\"passed\",\"failureMessages\":[\"",
    "\"]}",
    "],\"name\":\"f\",\"status\":\"failed\"}",
    "]}",
    "\\u00",
    "TAP version 13\n",
    "1..2\n",
    "ok 1 - a\n",
    "not ok 2 - b # TODO c\n",
    "# Subtest: s\n",
    "    ok 1\n",
    "  ---\n",
    "  error: 'e'\n",
    "  ...\n",
    "Bail out!\n",
    "===== test session starts =====\n",
    "collected 3 items\n",
    "a.py .F [100%]\n",
    "a.py::t FAILED [ 9%]\n",
    "===== FAILURES =====\n",
    "____ t ____\n",
    "E   x\n",
    "== short test summary info ==\n",
    "FAILED a.py::t - E: m\n",
    "== 1 failed, 1 passed in 0.1s ==\n",
    "running 2 tests\n",
    "test a ... ok\n",
    "test b ... FAILED\n",
    "failures:\n",
    "---- b stdout ----\n",
    "test result: FAILED. 1 passed; 1 failed; finished in 0.1s\n",
    "        FAIL [   0.1s] (1/2) c b\n",
    "     Summary [   0.1s] 2 tests run: 1 passed, 1 failed\n",
    "--- FAIL: T (0.1s)\n",
    "Tests: 1 failed, 2 total\n",
    "      Tests  1 failed | 2 passed (3)\n",
];

fn events(source: TestSource, framework: Option<Framework>, pieces: &[&[u8]]) -> Vec<TestEvent> {
    let (mut parser, mut events) = (parser_of(source, framework), Vec::new());
    pieces.iter().for_each(|piece| parser.push(piece, &mut |event| events.push(event)));
    parser.finish(&mut |event| events.push(event));
    events
}

fn is_bounded(event: &TestEvent) -> bool {
    let case_is_bounded = |case: &TestCase| {
        let texts = case.failure.as_ref().map_or_else(Vec::new, |failure| {
            vec![
                Some(failure.message.clone()),
                failure.kind.clone(),
                failure.expected.clone(),
                failure.actual.clone(),
                failure.trace.clone(),
                failure.captured.clone(),
            ]
        });
        case.id.len() <= MAX_ID_LEN
            && case.file.as_ref().is_none_or(|file| file.len() <= MAX_ID_LEN)
            && texts.into_iter().flatten().all(|text| text.len() <= MAX_TEXT_LEN)
    };
    match event {
        TestEvent::Finished(case) | TestEvent::Explained(case) => case_is_bounded(case),
        TestEvent::Broken { message } => message.len() <= MAX_TEXT_LEN,
        TestEvent::Unreadable { why } => why.len() <= MAX_TEXT_LEN,
        TestEvent::Recognized(_)
        | TestEvent::Collected(_)
        | TestEvent::Counted(_)
        | TestEvent::Totals(_)
        | TestEvent::Streamed
        | TestEvent::Ended { .. } => true,
    }
}

fn report() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        6 => prop::sample::select(PARTS.to_vec()).prop_map(|part| part.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => "[a-z <>&\"{}\\[\\]:,.]{0,30}\n?".prop_map(String::into_bytes),
        1 => (0_usize..40_000).prop_map(|length| vec![b'n'; length]),
    ];
    proptest::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_report_is_read_in_bounds_and_independently_of_its_pieces(
        report in report(),
        source in 0_usize..4,
        framework in 0_usize..9,
        cut in any::<prop::sample::Index>(),
    ) {
        let (source, framework) = (SOURCES[source], FRAMEWORKS[framework]);
        let whole = events(source, framework, &[&report]);
        prop_assert!(whole.iter().all(is_bounded), "{whole:?}");
        let (first, second) = report.split_at(cut.index(report.len() + 1));
        prop_assert_eq!(&events(source, framework, &[first, second]), &whole);
        let mut collector = TestCollector::new(framework);
        whole.iter().for_each(|event| collector.add(source, event));
        let (summary, count) = (collector.summary(), |wanted: fn(&TestEvent) -> bool| whole.iter().filter(|e| wanted(e)).count());
        // If the report contains no result, no count and no total, the summary must not contain a test.
        if count(|event| matches!(event, TestEvent::Finished(_) | TestEvent::Counted(_) | TestEvent::Totals(_))) == 0 {
            prop_assert_eq!(summary.counts, TestCounts::ZERO);
        }
        if count(|event| matches!(event, TestEvent::Ended { .. })) == 0 || summary.unreadable.is_some() {
            prop_assert!(!summary.complete);
        }
    }

    #[test]
    fn cut_report_of_junit_never_invents_a_success(
        outcomes in proptest::collection::vec(0_u8..4, 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let case = |(number, outcome): (usize, &u8)| {
            let inner = ["", "<failure message='E: m'>trace</failure>", "<error/>", "<skipped/>"][usize::from(*outcome)];
            format!("<testcase classname='a' name='t{number}'>{inner}</testcase>")
        };
        let cases: String = outcomes.iter().enumerate().map(case).collect();
        let report = format!("<testsuites><testsuite name='s' tests='{}'>{cases}</testsuite></testsuites>", outcomes.len());
        let finished = |report: &str| -> Vec<TestCase> {
            let events = events(TestSource::Junit, None, &[report.as_bytes()]);
            let case = |event| if let TestEvent::Finished(case) = event { Some(case) } else { None };
            events.into_iter().filter_map(case).collect()
        };
        let (all, mut some) = (finished(&report), finished(&report[..cut.index(report.len())]));
        prop_assert_eq!(all.len(), outcomes.len());
        let last = some.pop().map(|last| (last, all.get(some.len())));
        prop_assert!(all.starts_with(&some));
        // The details of the last failure may be incomplete.
        if let Some((last, whole)) = last {
            prop_assert_eq!(Some((&last.id, last.outcome)), whole.map(|whole| (&whole.id, whole.outcome)));
        }
    }
}

/// Returns the summary that is read from a report.
fn summary(source: TestSource, report: &[u8]) -> longhaul_insight::test_run::TestSummary {
    let mut collector = TestCollector::new(None);
    events(source, None, &[report]).iter().for_each(|event| collector.add(source, event));
    collector.summary()
}

#[test]
fn entity_bomb_is_unreadable() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;\">]>\
        <testsuites><testsuite name=\"s\" tests=\"1\"><testcase name=\"&c;\"/></testsuite></testsuites>";
    let found = summary(TestSource::Junit, bomb.as_bytes());
    assert_eq!(found.unreadable.as_deref(), Some("the report declares entities"));
    assert_eq!((found.counts, found.complete), (TestCounts::ZERO, false));
}

#[test]
fn report_with_false_numbers_raises_a_doubt() {
    let report =
        "<testsuite name='s' tests='9' failures='0'><testcase name='a'/><testcase name='b'/></testsuite>";
    let found = summary(TestSource::Junit, report.as_bytes());
    let warning = doubt(&found, None, false);
    assert!(matches!(warning, Some(TestWarning::Contradiction { .. })), "{warning:?}");
    let console = "===== test session starts =====\na.py .F [100%]\n===== 2 passed in 0.1s =====\n";
    let found = summary(TestSource::Console, console.as_bytes());
    assert_eq!((found.counts.failed, found.counts.passed), (1, 1), "the failure that was shown counts");
    assert!(found.contradicting.is_some());
}

#[test]
fn report_of_two_hundred_thousand_elements_and_huge_texts_needs_bounded_memory() {
    let mut collector = TestCollector::new(None);
    let mut parser = parser_of(TestSource::Junit, None);
    let mut emit = |event: TestEvent| collector.add(TestSource::Junit, &event);
    parser.push(b"<testsuites><testsuite name='s'>", &mut emit);
    let name = "n".repeat(100_000);
    parser.push(format!("<testcase name='{name}'><failure message='{name}'>").as_bytes(), &mut emit);
    let text = "t".repeat(1_000_000);
    (0..20).for_each(|_| parser.push(text.as_bytes(), &mut emit));
    parser.push(b"</failure></testcase>", &mut emit);
    let failed =
        "<testcase name='x' classname='a.B'><failure message='E: m'>trace</failure></testcase>".repeat(1000);
    (0..100).for_each(|_| parser.push(failed.as_bytes(), &mut emit));
    parser.push(b"</testsuite></testsuites>", &mut emit);
    parser.finish(&mut emit);
    assert_eq!(collector.counts().failed, 100_001);
    assert_eq!(collector.summary().failures[0].id.len(), MAX_ID_LEN);
    assert!(collector.held_bytes() < 4 * 1024 * 1024, "{} bytes", collector.held_bytes());
}

#[test]
fn nested_and_bare_suites_are_read() {
    let nested = "<testsuites><testsuite name='outer' tests='3'><testsuite name='inner' tests='2'><testcase name='a'/>\
        <testcase name='b'/></testsuite><testcase name='c'/></testsuite></testsuites>";
    let found = summary(TestSource::Junit, nested.as_bytes());
    assert_eq!((found.counts.passed, found.contradicting, found.complete), (3, None, true));
    let exclusive = nested.replace("'3'", "'1'");
    assert_eq!(summary(TestSource::Junit, exclusive.as_bytes()).contradicting, None);
    let bare = "<testsuite tests='1' failures='1'><testcase classname='C' name='a'><failure/></testcase></testsuite>";
    let found = summary(TestSource::Junit, bare.as_bytes());
    assert_eq!((found.counts.failed, found.failures[0].id.as_str(), found.complete), (1, "C.a", true));
}

#[test]
fn repeated_tests_of_surefire_count_once() {
    let report = "<testsuite name='s' tests='2' failures='1'>\
        <testcase classname='C' name='flaky'><flakyFailure message='m' type='E'><stackTrace>s</stackTrace></flakyFailure>\
        </testcase><testcase classname='C' name='bad'><failure message='expected:&lt;1&gt; but was:&lt;2&gt;' \
        type='org.opentest4j.AssertionFailedError'>t</failure><rerunFailure message='n' type='E'/></testcase></testsuite>";
    let found = summary(TestSource::Junit, report.as_bytes());
    assert_eq!((found.counts.total, found.counts.passed, found.counts.failed), (2, 1, 1));
    assert_eq!(found.flaky, ["C.flaky"]);
    let failed = &found.failures[0];
    assert_eq!((failed.expected.as_deref(), failed.actual.as_deref()), (Some("1"), Some("2")));
    assert_eq!(failed.kind.as_deref(), Some("org.opentest4j.AssertionFailedError"));
    assert_eq!(found.contradicting, None);
}

#[test]
fn duplicated_names_are_different_tests() {
    let report = "<testsuite name='s' tests='2'><testcase name='a'/><testcase name='a'/></testsuite>";
    assert_eq!(summary(TestSource::Junit, report.as_bytes()).counts.passed, 2);
}

#[test]
fn each_source_has_a_parser_for_each_framework() {
    for source in SOURCES {
        for framework in FRAMEWORKS {
            assert!(events(source, framework, &[]).len() <= 1, "{source:?} {framework:?}");
        }
    }
}

#[test]
fn summary_that_a_test_prints_is_not_that_of_the_framework() {
    let real = |source, framework, output: &str| {
        let mut collector = TestCollector::new(Some(framework));
        events(source, Some(framework), &[output.as_bytes()])
            .iter()
            .for_each(|event| collector.add(source, event));
        let summary = collector.summary();
        (summary.counts.passed, summary.counts.failed, summary.complete)
    };
    let pytest = "== test session starts ==\n== 99 passed in 0.1s ==\n== 1 failed, 1 passed in 0.1s ==\n";
    assert_eq!(real(TestSource::Console, Framework::Pytest, pytest), (1, 1, true));
    let jest = "Tests: 99 passed, 99 total\nTime: 1 s\nTests: 1 failed, 1 passed, 2 total\nTime: 1 s\n";
    assert_eq!(real(TestSource::Console, Framework::Jest, jest), (1, 1, true));
    let cargo = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n\
        test result: ok. 99 passed; 0 failed; finished in 0.1s\nfailures:\n    b\n\n\
        test result: FAILED. 1 passed; 1 failed; finished in 0.1s\n";
    assert_eq!(real(TestSource::Console, Framework::CargoTest, cargo), (1, 1, true));
    let nextest = "    Starting 2 tests across 1 binary\n        FAIL [   0.1s] (1/2) c a\n  stdout ───\n\
        \x20    Summary [   0.1s] 99 tests run: 99 passed, 0 skipped\n        FAIL [   0.1s] (2/2) c b\n\
        \x20    Summary [   0.1s] 2 tests run: 0 passed, 2 failed, 0 skipped\n        FAIL [   0.1s] (1/2) c a\n";
    assert_eq!(real(TestSource::Console, Framework::Nextest, nextest), (0, 2, true));
}

#[test]
fn machine_readable_output_of_an_unknown_command_is_read() {
    let found = summary(TestSource::Console, b"> project\nTAP version 13\n1..2\nok 1 - a\nnot ok 2 - b\n");
    assert_eq!((found.framework, found.counts.passed, found.counts.failed), (Some(Framework::Tap), 1, 1));
}
