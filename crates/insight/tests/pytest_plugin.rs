//! Tests of the pytest plugin with real versions of pytest. `LONGHAUL_TEST_PYTHON` lists Python interpreters that have
//! pytest and pytest-xdist, separated by `:`. Run with `LONGHAUL_TEST_PYTHON=… cargo test -p longhaul-insight --test
//! pytest_plugin -- --ignored`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use longhaul_insight::test_run::{
    PYTEST_PLUGIN, PYTEST_REPORT_VARIABLE, TestCollector, TestSource, TestSummary, parser_of,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TESTS: &str = "\
import pytest
def test_ok(): assert True
def test_login():
    assert 'bob' == 'alice', 'wrong user'
@pytest.mark.skip(reason='later')
def test_skip(): pass
@pytest.mark.xfail
def test_xf(): assert 0
@pytest.fixture
def db(): raise RuntimeError('no db')
def test_db(db): pass
@pytest.fixture
def after():
    yield
    raise OSError('cannot clean up')
def test_after(after): print('captured out')
";

fn interpreters() -> Vec<String> {
    let names =
        std::env::var("LONGHAUL_TEST_PYTHON").expect("LONGHAUL_TEST_PYTHON names interpreters with pytest");
    names.split(':').map(str::to_owned).collect()
}

/// Creates a new directory with the plugin and the tests, and returns its path.
fn project(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(directory.join("plugin")).unwrap();
    fs::write(directory.join("plugin/longhaul_pytest.py"), PYTEST_PLUGIN).unwrap();
    fs::write(directory.join("test_all.py"), TESTS).unwrap();
    fs::write(directory.join("pytest.ini"), "[pytest]\n").unwrap();
    directory
}

/// Runs pytest and returns its exit code.
fn run(python: &str, directory: &Path, report: &Path, arguments: &[&str]) -> Option<i32> {
    let status = Command::new(python)
        .args(["-m", "pytest", "-p", "no:cacheprovider", "test_all.py"])
        .args(arguments)
        .current_dir(directory)
        .env("PYTHONPATH", directory.join("plugin"))
        .env("PYTEST_ADDOPTS", "-p longhaul_pytest")
        .env(PYTEST_REPORT_VARIABLE, report)
        .output()
        .unwrap();
    status.status.code()
}

fn read(report: &Path) -> TestSummary {
    let (mut parser, mut collector) = (parser_of(TestSource::Plugin, None), TestCollector::new(None));
    let mut emit = |event| collector.add(TestSource::Plugin, &event);
    parser.push(&fs::read(report).unwrap(), &mut emit);
    parser.finish(&mut emit);
    collector.summary()
}

#[test]
#[ignore = "needs interpreters with pytest in LONGHAUL_TEST_PYTHON"]
fn each_version_of_pytest_reports_the_same_results() {
    for (number, python) in interpreters().iter().enumerate() {
        for arguments in [&[][..], &["-n", "2"]] {
            let directory = project(&format!("pytest_{number}_{}", arguments.len()));
            let report = directory.join("report.jsonl");
            assert_eq!(run(python, &directory, &report, arguments), Some(1), "{python}");
            let found = read(&report);
            let counts = found.counts;
            let numbers =
                [counts.total, counts.passed, counts.failed, counts.errors, counts.skipped, counts.xfailed];
            assert_eq!(numbers, [7, 2, 1, 2, 1, 1], "{python} {arguments:?}");
            assert!(found.complete && found.collected == Some(6), "{python} {arguments:?}");
            let failed = found.failures.iter().find(|failed| failed.id == "test_all.py::test_login").unwrap();
            assert_eq!((failed.message.as_str(), failed.line), ("wrong user", Some(4)));
            assert_eq!(
                (failed.actual.as_deref(), failed.expected.as_deref()),
                (Some("'bob'"), Some("'alice'")),
                "{python}"
            );
            let after = found.failures.iter().find(|failed| failed.id == "test_all.py::test_after").unwrap();
            assert_eq!(after.captured.as_deref(), Some("captured out"));
        }
    }
}

#[test]
#[ignore = "needs interpreters with pytest in LONGHAUL_TEST_PYTHON"]
fn report_that_cannot_be_written_does_not_disturb_the_tests() {
    for (number, python) in interpreters().iter().enumerate() {
        let directory = project(&format!("pytest_unwritable_{number}"));
        for report in ["/dev/full", "/nonexistent/report", "/"] {
            assert_eq!(run(python, &directory, Path::new(report), &[]), Some(1), "{python} {report}");
            assert_eq!(
                run(python, &directory, Path::new(report), &["-k", "test_ok"]),
                Some(0),
                "{python} {report}"
            );
        }
    }
}
