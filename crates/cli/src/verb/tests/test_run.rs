//! Tests of `tests` and `rerun-failed`.

use super::*;
use longhaul_wire::api::{
    ArtifactsView, OutputView, RerunFailedReply, TestCaseView, TestDiffView, TestListView, TestResultsView,
    TestsView, WhyView,
};

fn results(failed: u64, cursor: Option<&str>) -> TestResultsView {
    TestResultsView {
        id: samples::failed().id,
        name: Some("unit".to_owned()),
        status: "failed".to_owned(),
        attempt: 1,
        tests: TestsView {
            total: 9,
            passed: 9_u64.saturating_sub(failed),
            failed,
            complete: true,
            ..TestsView::default()
        },
        cases: (0..failed).map(|n| case(&format!("t{n}"))).collect(),
        cursor: cursor.map(str::to_owned),
        ..TestResultsView::default()
    }
}

fn case(id: &str) -> TestCaseView {
    TestCaseView {
        id: id.to_owned(),
        outcome: "failed".to_owned(),
        kind: Some("E".to_owned()),
        message: Some("wrong".to_owned()),
        cause: Some("E: wrong".to_owned()),
        trace: Some("line 1\nline 2".to_owned()),
        ..TestCaseView::default()
    }
}

fn command_only(asked: &FakeRequest) -> Option<FakeResponse> {
    asked.path.contains("rerun-failed").then(|| {
        let command = vec!["pytest".to_owned(), "t0".to_owned()];
        answered(&RerunFailedReply { command, tests: 2, process: None })
    })
}

#[test]
fn failures_are_shown_with_the_command_that_runs_them_again() {
    let came =
        said("tests unit", false, |asked| command_only(asked).unwrap_or_else(|| answered(&results(2, None))));
    assert_eq!(came.asked[0], "GET /v1/processes/unit/tests?limit=1000&failed=true&brief=true");
    assert_eq!(came.body(1), json!({ "attempt": null, "dry_run": true }));
    assert_eq!(
        came.out,
        "b7d0ha00 unit ✗ failed: 2 failed, 7 passed (9 tests)\n\nE: wrong (2 tests)\n  t0\n  t1\n\n  next       longhaul \
         rerun-failed b7d0ha00, which runs:\n             pytest t0\n"
    );
    let refused = said("tests unit", false, |asked| {
        if asked.path.contains("rerun-failed") {
            problem(409, "rerun_not_possible")
        } else {
            answered(&results(2, None))
        }
    });
    assert!(refused.code() == 0 && !refused.out.contains("next"), "{}", refused.out);
}

#[test]
fn failed_reads_every_page_and_shows_traces() {
    let came = said("tests unit --failed --attempt 2", false, |asked| {
        if asked.path.contains("cursor=") {
            let mut last = results(1, None);
            last.cases = vec![case("last")];
            return answered(&last);
        }
        command_only(asked).unwrap_or_else(|| answered(&results(1, Some("2-failed-7"))))
    });
    assert_eq!(
        came.asked[1],
        "GET /v1/processes/unit/tests?limit=1000&attempt=2&failed=true&cursor=2-failed-7"
    );
    assert!(came.out.contains("│ line 2") && came.out.contains("  last\n"), "{}", came.out);
    let json: Value =
        serde_json::from_str(&said("tests unit --json", false, |_| answered(&results(2, None))).out).unwrap();
    assert_eq!(json["cases"].as_array().unwrap().len(), 2);
}

#[test]
fn failed_shows_the_first_thousand_failures_and_counts_the_others() {
    let answer = |asked: &FakeRequest| {
        command_only(asked).unwrap_or_else(|| {
            let tests = TestsView { total: 5_000, failed: 5_000, ..TestsView::default() };
            answered(&TestResultsView { tests, ..results(1_000, Some("next")) })
        })
    };
    let came = said("tests unit --failed", false, answer);
    assert_eq!(came.asked.len(), 2, "one page and the command that runs the tests again");
    let rest = "\nand 4000 more: longhaul tests b7d0ha00 --failed --json lists all\n";
    assert!(came.out.contains("  t999\n") && came.out.contains(rest), "{}", came.out);
}

#[test]
fn all_tests_are_a_table_and_differences_have_their_own_request() {
    let came = said("tests unit --all", false, |_| answered(&results(1, None)));
    assert_eq!(came.asked, ["GET /v1/processes/unit/tests?limit=1000&brief=true"]);
    assert_eq!(came.out, "RESULT\tTIME\tTEST\nfailed\t\tt0\n");
    let came = said("tests unit --diff old", false, |_| {
        let new = TestListView { count: 1, ids: vec!["t0".to_owned()] };
        answered(&TestDiffView { new, ..TestDiffView::default() })
    });
    assert_eq!(came.asked, ["GET /v1/processes/unit/tests/diff?base=old"]);
    assert!(came.out.contains("new failures (1)\n  t0\n"), "{}", came.out);
}

#[test]
fn junit_report_contains_every_page() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("report.xml");
    let came = said(&format!("tests unit --junit {}", file.display()), false, |asked| {
        let mut page = results(1, Some("1-all-7"));
        if asked.path.contains("cursor=") {
            page = results(1, None);
            page.cases = vec![case("last<")];
        }
        if !asked.path.contains("failed=true") {
            // Only the list of failed tests contains the details.
            for case in &mut page.cases {
                (case.message, case.trace, case.kind) = (None, None, None);
            }
        }
        answered(&page)
    });
    assert_eq!(came.code(), 0, "{}", came.err);
    let report = std::fs::read_to_string(file).unwrap();
    assert!(report.starts_with("<?xml") && report.ends_with("</testsuites>\n"), "{report}");
    assert!(
        report.contains("tests=\"9\" failures=\"1\"") && report.contains("name=\"last&lt;\""),
        "{report}"
    );
    assert_eq!(report.matches("message=\"wrong\">line 1").count(), 2, "{report}");
    assert_eq!(report.matches("<testcase ").count(), 2, "{report}");
}

#[test]
fn failed_tests_run_again_in_the_background_and_a_dry_run_prints_the_command() {
    let dry = said("rerun-failed unit --dry-run", false, |asked| command_only(asked).unwrap());
    assert_eq!((dry.code(), dry.out.as_str()), (0, "pytest t0\n"));
    assert_eq!(dry.body(0), json!({ "attempt": null, "dry_run": true }));
    let came = said("rerun-failed unit -b --expect-revision 3", false, |asked| {
        if asked.path.contains("rerun-failed") {
            let process = Some(samples::running());
            let command = vec!["pytest".to_owned()];
            answered(&RerunFailedReply { command, tests: 2, process })
        } else {
            process(&samples::running())
        }
    });
    assert_eq!(came.asked[0], "POST /v1/processes/unit/rerun-failed?revision=3");
    assert_eq!((came.code(), came.out), (0, format!("{}\n", samples::running().id)));
    let refused = said("rerun-failed unit -b", false, |_| problem(409, "no_failed_tests"));
    assert_ne!(refused.code(), 0);
}

#[test]
fn status_and_wait_name_the_counts_and_the_warning() {
    let tested = || ProcessView {
        tests: Some(TestsView {
            total: 9,
            passed: 6,
            failed: 3,
            failures: vec![case("t0"), case("t1")],
            complete: true,
            warning: Some(longhaul_wire::api::TestWarningView {
                kind: "failures_ignored".to_owned(),
                message: "tests failed, but the command succeeded".to_owned(),
            }),
            ..TestsView::default()
        }),
        ..samples::failed()
    };
    let came = said("status b7d0ha00", true, move |_| process(&tested()));
    assert!(
        came.out.contains("  tests      3 failed, 6 passed (9 tests): t0, t1 and 1 more\n")
            && came.out.contains("  warning    tests failed, but the command succeeded\n"),
        "{}",
        came.out
    );
}

#[test]
fn report_offers_to_run_the_failed_tests_again_only_if_the_manager_can() {
    let report = |can_rerun: bool| {
        let came = said("report unit", false, move |asked| {
            let path = asked.path.split('?').next().unwrap();
            match path.rsplit('/').next().unwrap() {
                "rerun-failed" if can_rerun => command_only(asked).unwrap(),
                "rerun-failed" => problem(409, "rerun_not_possible"),
                "why" => answered(&WhyView { why: "not_waiting".to_owned(), ..WhyView::default() }),
                "artifacts" => answered(&ArtifactsView::default()),
                "text" => answered(&OutputView::default()),
                _ => process(&ProcessView {
                    tests: Some(TestsView { total: 2, failed: 1, ..TestsView::default() }),
                    ..samples::failed()
                }),
            }
        });
        assert_eq!(came.code(), 0, "{}", came.err);
        came.out
    };
    assert!(report(true).contains("longhaul rerun-failed b7d0ha00"));
    let script = report(false);
    assert!(!script.contains("rerun-failed") && script.contains("longhaul tests b7d0ha00"), "{script}");
}
