//! Tests that check test results on the command line and over HTTP.

use crate::socket::http;
use longhaul_tests::Home;
use serde_json::{Value, json};
use std::fs;
use std::time::Instant;

const OUTPUT: &str = include_str!("../../crates/insight/fixtures/tests/cargo/plain.txt");
const REPORT: &str = include_str!("../../crates/insight/fixtures/tests/pytest/plain.xml");

/// Runs a command that writes a JUnit report and exits.
fn reported(home: &Home, name: &str, report: &str, code: i32) {
    fs::write(home.work().join("source.xml"), report).unwrap();
    let script = format!("cp source.xml report.xml; exit {code}");
    let options = ["run", "--name", name, "--report", "junit:report.xml", "--shell", &script];
    assert_eq!(home.run(&options).code, code);
}

#[test]
fn results_of_a_junit_report_are_shown_by_every_command() {
    let home = Home::new();
    reported(&home, "unit", REPORT, 1);
    let json: Value = serde_json::from_str(&home.ok(&["tests", "--json", "unit"])).unwrap();
    let tests = &json["tests"];
    let failures =
        json["cases"].as_array().unwrap().len() + json["collection_errors"].as_array().map_or(0, Vec::len);
    let failed = tests["failed"].as_u64().unwrap() + tests["errors"].as_u64().unwrap();
    assert!(failed > 0 && failures as u64 >= failed, "{json}");
    let counts = format!("{} failed", tests["failed"]);
    for face in [&["tests", "unit"][..], &["status", "unit"], &["wait", "unit"], &["report", "unit"]] {
        let answer = home.run(face);
        assert!(answer.out.contains(&counts) || answer.err.contains(&counts), "{face:?}: {answer:?}");
    }
    let whole = home.ok(&["tests", "--failed", "unit"]);
    assert!(whole.contains("trace"), "{whole}");
    assert_eq!(home.run(&["tests", "unit", "--junit", "out.xml"]).code, 0);
    let written = fs::read_to_string(home.work().join("out.xml")).unwrap();
    assert_eq!(written.matches("<testcase ").count() as u64, tests["total"].as_u64().unwrap(), "{written}");
    let (code, page) = http(&home, "GET", "/v1/processes/unit/tests?failed=true&limit=1", &Value::Null);
    assert_eq!((code, page["cases"].as_array().map(Vec::len)), (200, Some(1)));
}

#[test]
fn cursor_of_a_failure_leads_to_its_report_in_the_output() {
    let home = Home::new();
    fs::write(home.work().join("out.txt"), OUTPUT).unwrap();
    let script = "echo before >&2; cat out.txt; exit 101";
    assert_eq!(home.run(&["run", "--name", "unit", "--report", "auto", "--shell", script]).code, 101);
    let json: Value = serde_json::from_str(&home.ok(&["tests", "--json", "--failed", "unit"])).unwrap();
    let cases = json["cases"].as_array().unwrap();
    assert!(cases.len() > 1, "{json}");
    for case in cases {
        let (id, cursor) = (case["id"].as_str().unwrap(), case["output_cursor"].as_str().unwrap());
        let path = format!("/v1/processes/unit/text?cursor={cursor}");
        let (code, page) = http(&home, "GET", &path, &Value::Null);
        let shown = page["text"].as_str().unwrap_or_default();
        assert_eq!(code, 200, "{page}");
        assert!(shown.starts_with(&format!("---- {id} stdout ----")), "{id}: {page}");
    }
}

#[test]
fn successful_run_without_tests_raises_a_warning_and_other_work_has_no_results() {
    let home = Home::new();
    let empty = "<testsuites><testsuite name=\"s\" tests=\"0\"></testsuite></testsuites>";
    reported(&home, "empty", empty, 0);
    let shown = home.run(&["tests", "empty"]);
    assert!(shown.out.contains("warning") && shown.out.contains("no tests"), "{shown:?}");
    assert!(home.ok(&["status", "empty"]).contains("warning"));
    let id = home.launch(&["true"]);
    home.until_status(&id, "completed");
    let refused = home.run(&["tests", &id]);
    assert!(refused.code != 0 && refused.err.contains("no test results"), "{refused:?}");
    let off = ["run", "-b", "--report", "off", "--type", "test_suite", "--", "true"];
    assert_eq!(home.run(&off).code, 0);
    let wrong = home.run(&["run", "--report", "junit:", "--", "true"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
}

/// The time limits are generous, because the test machine can be busy. `just bench` measures the real times.
#[test]
fn hundred_thousand_tests_are_listed_quickly() {
    let home = Home::new();
    let mut report = String::from("<testsuite name=\"s\" tests=\"100000\" failures=\"100\">\n");
    for n in 0..100_000 {
        report.push_str(&format!(
            "<testcase classname=\"pkg.module{}\" name=\"test_{n}\" time=\"0.01\"",
            n / 100
        ));
        report.push_str(if n % 1_000 == 7 {
            "><failure message=\"E: wrong\">trace</failure></testcase>\n"
        } else {
            "/>\n"
        });
    }
    report.push_str("</testsuite>\n");
    reported(&home, "many", &report, 1);
    longhaul_tests::until("all results are stored", || {
        let json: Value = serde_json::from_str(&home.ok(&["inspect", "many"])).ok()?;
        (json["tests"]["total"] == json!(100_000)).then_some(())
    });
    let begun = Instant::now();
    let failed = home.ok(&["tests", "--failed", "many"]);
    let took = begun.elapsed();
    for n in (7..100_000).step_by(1_000) {
        assert!(failed.contains(&format!("test_{n}\n")), "{n}: {failed}");
    }
    let begun = Instant::now();
    let (code, page) = http(&home, "GET", "/v1/processes/many/tests?limit=1000&brief=true", &Value::Null);
    let page_took = begun.elapsed();
    assert_eq!((code, page["cases"].as_array().map(Vec::len)), (200, Some(1_000)));
    eprintln!("failed tests: {took:?}, one page: {page_took:?}");
    assert!(took.as_secs() < 5 && page_took.as_secs() < 5, "{took:?} {page_took:?}");
}
