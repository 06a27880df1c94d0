//! Test runs of real test frameworks. The counts and the names of the failed tests in the record must equal the counts
//! and names that the framework prints. `tests/frameworks/run` installs the frameworks and runs these tests.

use longhaul_tests::{Home, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

const PYTEST: &str = "\
import pytest
def test_ok(): assert True
def test_login():
    user = {'name': 'bob'}
    assert user['name'] == 'alice', 'wrong user'
@pytest.mark.parametrize('n', [1, 2, 3])
def test_par(n): assert n < 3
@pytest.mark.skip(reason='later')
def test_skip(): pass
@pytest.mark.xfail
def test_xf(): assert 0
@pytest.fixture
def db(): raise RuntimeError('no db')
def test_db(db): pass
class TestC:
    def test_m(self):
        print('captured out')
        raise ValueError('bad value')
";
const TEARDOWN: &str = "\
import pytest
@pytest.fixture
def after():
    yield
    raise OSError('cannot clean up')
@pytest.fixture
def before(after): raise OSError('cannot prepare')
def test_passes(after): pass
def test_fails(after): assert 1 == 2
def test_is_not_prepared(before): pass
@pytest.mark.xfail
def test_xfails(after): assert 0
@pytest.mark.xfail
def test_xpasses(): pass
";
const RUST: &str = "\
/// ```
/// assert_eq!(c::add(1, 1), 3);
/// ```
pub fn add(a: i32, b: i32) -> i32 { a + b }
#[cfg(test)]
mod tests {
    #[test] fn ok() { assert_eq!(super::add(1, 1), 2); }
    #[test] fn bad() { assert_eq!(super::add(1, 1), 3, \"sum is off\"); }
    #[test] #[ignore = \"slow\"] fn slow() {}
    #[test] #[should_panic] fn should() {}
}
";
const JEST: &str = "\
describe('cart', () => {
  test('adds', () => { expect(1 + 1).toBe(2); });
  test('total', () => { expect({ a: 1 }).toEqual({ a: 2 }); });
  test.skip('later', () => {});
  test.todo('coupons');
  test('throws', () => { throw new TypeError('x is not a function'); });
});
";
const GO: &str = "\
package sum
import \"testing\"
func TestOk(t *testing.T) {}
func TestBad(t *testing.T) { t.Errorf(\"sum is %d\", 3) }
func TestLater(t *testing.T) { t.Skip(\"later\") }
";

/// Returns the path of an installed framework.
fn installed(path: &str) -> String {
    let kept = std::env::var_os("LONGHAUL_TEST_FRAMEWORKS").unwrap();
    PathBuf::from(kept).join(path).to_str().unwrap().to_owned()
}

fn write(home: &Home, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = home.work().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Runs a command to its end and returns its record and its output.
fn ended(home: &Home, command: &[&str]) -> (Value, String) {
    let id = home.launch(command);
    let _ = home.run(&["wait", &id]);
    (home.record(&id), home.ok(&["logs", &id, "-n", "all"]))
}

/// Returns the number before a word in a line such as `3 failed, 1 passed`.
fn number(line: &str, word: &str) -> u64 {
    let words: Vec<&str> =
        line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|found| found.trim_end_matches('s') == word.trim_end_matches('s'));
    at.and_then(|at| words[at.checked_sub(1)?].parse().ok()).unwrap_or(0)
}

/// Returns the names of the failed tests in the record.
fn failed(record: &Value) -> BTreeSet<String> {
    let failures = record["tests"]["failures"].as_array().unwrap();
    failures.iter().map(|failed| failed["id"].as_str().unwrap().to_owned()).collect()
}

/// Compares the record with the summary that pytest prints.
fn assert_as_pytest_says(record: &Value, output: &str) {
    let summary = output.lines().rfind(|line| line.contains(" in ")).unwrap();
    let tests = &record["tests"];
    for name in ["failed", "error", "skipped", "xfailed"] {
        let key = if name == "error" { "errors" } else { name };
        assert_eq!(tests[key], number(summary, name), "{name} in {summary}: {tests}");
    }
    // A JUnit report has no category for an unexpected success, which counts as passed.
    let passed = [number(summary, "passed"), number(summary, "xpassed")];
    let expected = if tests["source"] == "junit" { [passed[0] + passed[1], 0] } else { passed };
    assert_eq!(
        [&tests["passed"], &tests["xpassed"]],
        expected.map(Value::from).each_ref(),
        "{summary}: {tests}"
    );
    let named = output.lines().filter_map(|line| {
        let rest = line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR "))?;
        Some(rest.split(" - ").next()?.to_owned())
    });
    assert_eq!(failed(record), named.collect::<BTreeSet<_>>());
}

#[test]
#[ignore = "requires pytest; tests/frameworks/run installs it"]
fn counts_of_pytest_are_the_counts_that_pytest_prints_with_and_without_workers() {
    let home = Home::new();
    write(&home, &[("tests/test_login.py", PYTEST), ("pytest.ini", "[pytest]\n")]);
    let python = installed("python/bin/python");
    for arguments in [&["-q"][..], &["-n", "2"], &["-p", "no:longhaul"], &["-p", "no:longhaul", "-v"]] {
        let (record, output) = ended(&home, &[&[python.as_str(), "-m", "pytest"], arguments].concat());
        let tests = &record["tests"];
        assert_as_pytest_says(&record, &output);
        assert_eq!((&tests["framework"], &tests["complete"]), (&"pytest".into(), &true.into()), "{tests}");
        let source = if arguments.contains(&"no:longhaul") { "console" } else { "plugin" };
        assert_eq!(tests["source"], source, "{tests}");
        let error = record["error"].as_str().unwrap();
        // Two workers report their failures in any order, so any of the four failures may be the first.
        let first = if arguments.contains(&"-n") { "" } else { "AssertionError: wrong user" };
        assert!(error.starts_with(first) && error.ends_with("and 3 more"), "{error}");
    }
}

#[test]
#[ignore = "requires pytest; tests/frameworks/run installs it"]
fn failed_tear_downs_are_counted_as_pytest_counts_them() {
    let home = Home::new();
    write(&home, &[("test_teardown.py", TEARDOWN), ("pytest.ini", "[pytest]\n")]);
    let python = installed("python/bin/python");
    for (arguments, source) in [
        (&["-rfE"][..], "plugin"),
        (&["-rfE", "-n", "2"], "plugin"),
        (&["-rfE", "-p", "no:longhaul", "--junitxml=out.xml"], "junit"),
        (&["-rfE", "-n", "2", "-p", "no:longhaul", "--junitxml=workers.xml"], "junit"),
        (&["-rfE", "-p", "no:longhaul"], "console"),
    ] {
        let (record, output) = ended(&home, &[&[python.as_str(), "-m", "pytest"], arguments].concat());
        assert_as_pytest_says(&record, &output);
        let tests = &record["tests"];
        assert_eq!((&tests["source"], &tests["complete"]), (&source.into(), &true.into()), "{tests}");
    }
}

#[test]
#[ignore = "requires pytest; tests/frameworks/run installs it"]
fn results_of_pytest_in_scripts_come_without_the_plugin() {
    let home = Home::new();
    write(&home, &[("tests/test_login.py", PYTEST), ("pytest.ini", "[pytest]\n")]);
    let python = installed("python/bin/python");
    let line = format!("PYTHONPATH=. {python} -m pytest -q --junitxml=out.xml");
    let (record, output) = ended(&home, &["sh", "-c", &line]);
    assert_as_pytest_says(&record, &output);
    assert_ne!(
        record["tests"]["source"], "plugin",
        "the script replaces PYTHONPATH, so pytest does not find the plugin"
    );
    let isolated = format!("{python} -I -m pytest -q tests");
    let (record, output) = ended(&home, &["sh", "-c", &isolated]);
    assert_as_pytest_says(&record, &output);
}

#[test]
#[ignore = "requires pytest; tests/frameworks/run installs it"]
fn results_of_a_killed_pytest_are_kept_and_incomplete() {
    let home = Home::new();
    let slow = "import pathlib, time\n\
        def test_a(): pass\n\
        def test_b(): assert 1 == 2\n\
        def test_c():\n    pathlib.Path('reached').touch()\n    time.sleep(600)\n\
        def test_d(): pass\n";
    write(&home, &[("test_slow.py", slow), ("pytest.ini", "[pytest]\n")]);
    let id = home.launch(&[&installed("python/bin/python"), "-m", "pytest", "-q"]);
    home.until_written("reached");
    until("the first tests are counted", || (home.record(&id)["tests"]["total"] == 2).then_some(()));
    assert_eq!(home.run(&["cancel", &id, "--force"]).code, 0);
    home.until_status(&id, "cancelled");
    let tests = &home.record(&id)["tests"];
    assert_eq!((&tests["complete"], &tests["total"]), (&false.into(), &2.into()), "{tests}");
    assert_eq!((&tests["passed"], &tests["failed"], &tests["collected"]), (&1.into(), &1.into(), &4.into()));
}

#[test]
#[ignore = "requires pytest; tests/frameworks/run installs it"]
fn results_are_complete_and_counted_once_although_the_manager_was_killed() {
    let home = Home::new();
    let gated = "import os, time\n\
        def test_a(): pass\n\
        def test_b():\n    open('reached', 'w').close()\n    while not os.path.exists('go'): time.sleep(0.02)\n\
        def test_c(): assert 1 == 2\n";
    write(&home, &[("test_gated.py", gated), ("pytest.ini", "[pytest]\n")]);
    let id = home.launch(&[&installed("python/bin/python"), "-m", "pytest", "-q"]);
    home.until_written("reached");
    until("the first test is counted", || (home.record(&id)["tests"]["total"] == 1).then_some(()));
    home.end_manager("-KILL");
    home.open_gate();
    home.until_status(&id, "failed");
    let tests = &home.record(&id)["tests"];
    assert_eq!((&tests["complete"], &tests["total"], &tests["failed"]), (&true.into(), &3.into(), &1.into()));
}

#[test]
#[ignore = "requires pytest; tests/frameworks/run installs it"]
fn pytest_without_tests_and_with_an_ignored_exit_code_raises_a_warning() {
    let home = Home::new();
    write(&home, &[("test_none.py", "x = 1\n"), ("pytest.ini", "[pytest]\n")]);
    let line = format!("{} -m pytest -q || true", installed("python/bin/python"));
    let (record, _) = ended(&home, &["sh", "-c", &line]);
    assert_eq!(
        (&record["status"], &record["tests"]["warning"]["kind"]),
        (&"completed".into(), &"no_tests".into())
    );
    let conditions = record["conditions"].as_array().unwrap();
    assert!(conditions.contains(&"tests_doubtful".into()), "{record}");
    let events = home.ok(&["events", "--json", "--after", "start"]);
    assert!(events.contains("PROCESS_TEST_WARNING"), "{events}");
}

#[test]
#[ignore = "requires cargo-nextest; tests/frameworks/run installs it"]
fn counts_of_cargo_test_and_nextest_are_the_counts_that_they_print() {
    let home = Home::new();
    let manifest = "[package]\nname = \"c\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
    write(&home, &[("Cargo.toml", manifest), ("src/lib.rs", RUST)]);
    let (record, output) = ended(&home, &["cargo", "test", "--offline", "--no-fail-fast"]);
    let summaries: Vec<&str> = output.lines().filter(|line| line.starts_with("test result: ")).collect();
    assert!(summaries.len() >= 2, "{output}");
    for (key, word) in [("passed", "passed"), ("failed", "failed"), ("skipped", "ignored")] {
        let stated: u64 =
            summaries.iter().map(|line| number(&line.replace("test result: FAILED", ""), word)).sum();
        assert_eq!(record["tests"][key], stated, "{word}: {}", record["tests"]);
    }
    let names = |end: &str| -> BTreeSet<String> {
        let failed = output.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(end));
        failed.map(|name| name.trim_end_matches(" - should panic").to_owned()).collect()
    };
    assert_eq!(failed(&record), names(" ... FAILED"));
    let (record, output) = ended(
        &home,
        // Set the profile: if this test runs in nextest, the variable `NEXTEST_PROFILE` may name a profile that the
        // tested package does not have.
        &["cargo", "nextest", "run", "--offline", "--no-fail-fast", "--profile=default"],
    );
    let summary = output.lines().rfind(|line| line.contains("Summary [")).unwrap();
    let tests = &record["tests"];
    for word in ["passed", "failed"] {
        assert_eq!(
            tests[word],
            number(summary.split("tests run:").last().unwrap(), word),
            "{summary}: {tests}"
        );
    }
    assert_eq!(failed(&record), ["tests::bad", "tests::should"].map(str::to_owned).into());
}

#[test]
#[ignore = "requires Jest; tests/frameworks/run installs it"]
fn counts_of_jest_are_the_counts_that_jest_prints() {
    let home = Home::new();
    write(&home, &[("a.test.js", JEST), ("package.json", "{\"name\":\"j\",\"version\":\"1.0.0\"}")]);
    let jest = installed("node/node_modules/.bin/jest");
    for arguments in [&[][..], &["--json"]] {
        let (record, output) = ended(&home, &[&[jest.as_str(), "--rootDir=."], arguments].concat());
        let tests = &record["tests"];
        let summary = output.lines().rfind(|line| line.starts_with("Tests:")).unwrap();
        for (key, word) in [
            ("total", "total"),
            ("passed", "passed"),
            ("failed", "failed"),
            ("skipped", "skipped"),
            ("todo", "todo"),
        ] {
            assert_eq!(tests[key], number(summary, word), "{word} in {summary}: {tests}");
        }
        assert_eq!(failed(&record), ["cart throws", "cart total"].map(str::to_owned).into(), "{tests}");
        let source = if arguments.is_empty() { "console" } else { "stream" };
        assert_eq!((&tests["framework"], &tests["source"]), (&"jest".into(), &source.into()));
    }
}

#[test]
#[ignore = "requires Go"]
fn counts_of_go_test_are_the_counts_that_go_test_prints() {
    let home = Home::new();
    write(&home, &[("go.mod", "module example.com/sum\n\ngo 1.20\n"), ("sum_test.go", GO)]);
    for arguments in [&["test", "-v", "./..."][..], &["test", "-json", "./..."]] {
        let (record, _) = ended(&home, &[&["go"], arguments].concat());
        let tests = &record["tests"];
        assert_eq!(
            (&tests["passed"], &tests["failed"], &tests["skipped"]),
            (&1.into(), &1.into(), &1.into())
        );
        assert_eq!(failed(&record), ["TestBad".to_owned()].into());
    }
}
