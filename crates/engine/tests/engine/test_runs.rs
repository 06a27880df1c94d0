use crate::world::{World, command, retrying, seconds};
use longhaul_domain::{
    AttemptNo, CommandSpec, Fact, ProcessId, ProcessName, ProcessType, Spec, State, Status, TestReport,
    TestReporting, TestTally, Timestamp, Work,
};
use longhaul_engine::TestPageRequest;
use longhaul_engine::ports::{AttemptKey, Clock as _, OutputSource};
use longhaul_testkit::fakes::FakeTestFiles;
use std::sync::Arc;
use std::time::Duration;

const CARGO: &str = include_str!("../../../insight/fixtures/tests/cargo/plain.txt");
const CARGO_KILLED: &str = include_str!("../../../insight/fixtures/tests/cargo/killed.txt");
const PLUGIN: &str = include_str!("../../../insight/fixtures/tests/pytest/plain.jsonl");
const PLUGIN_KILLED: &str = include_str!("../../../insight/fixtures/tests/pytest/killed.jsonl");
const JUNIT: &str = include_str!("../../../insight/fixtures/tests/pytest/plain.xml");

/// An engine whose test runs store their files in memory.
struct TestWorld {
    world: World,
    files: FakeTestFiles,
}

impl TestWorld {
    async fn new() -> Self {
        Self::with_files(FakeTestFiles::default()).await
    }

    async fn with_files(files: FakeTestFiles) -> Self {
        let used = files.clone();
        let world = World::with(move |settings| {
            settings.test_runs.files = Arc::new(used);
            settings.test_runs.plugin_directory = Some("/plugin".to_owned());
        })
        .await;
        Self { world, files }
    }

    /// Starts a command.
    async fn started(&self, spec: Spec) -> (ProcessId, AttemptKey) {
        let id = self.world.launch_spec(spec).await;
        self.world.pass(seconds(1)).await;
        let attempt = self.world.stored(id).await.process.attempt;
        (id, AttemptKey { id, attempt })
    }

    fn print(&self, key: AttemptKey, text: &str) {
        self.world.spawner.output().write(key, OutputSource::Stdout, text.as_bytes());
    }

    /// Runs a command that prints a text and exits.
    async fn ended_with(&self, spec: Spec, text: &str, code: i32) -> ProcessId {
        let (id, key) = self.started(spec).await;
        self.print(key, text);
        self.world.spawner.exit(key, code);
        self.world.end(id).await;
        id
    }

    async fn tests(&self, id: ProcessId) -> Option<TestReport> {
        self.world.stored(id).await.process.tests.map(|report| *report)
    }

    async fn page(&self, key: AttemptKey, failed: bool) -> Vec<String> {
        let request = TestPageRequest { failed, from: 0, limit: 1000 };
        let page = self.world.engine.test_page(key, request).await.unwrap();
        page.tests.into_iter().map(|(test, _)| test.case.id).collect()
    }
}

fn with_tests(words: &str, tests: TestReporting) -> Spec {
    let mut spec = command(words);
    if let Work::Command(command) = &mut spec.work {
        **command = CommandSpec { tests, ..command.as_ref().clone() };
    }
    spec
}

fn tally(total: u64, passed: u64, failed: u64) -> TestTally {
    TestTally { total, passed, failed, ..TestTally::default() }
}

#[tokio::test(start_paused = true)]
async fn failed_tests_are_recorded_before_the_end_and_the_first_one_is_the_error() {
    let world = TestWorld::new().await;
    let id = world.ended_with(command("cargo test"), CARGO, 101).await;
    let report = world.tests(id).await.unwrap();
    assert_eq!(
        (report.framework.as_deref(), report.source.as_deref()),
        (Some("cargo_test"), Some("console"))
    );
    assert_eq!((report.tally.passed, report.tally.failed, report.tally.skipped), (2, 7, 2));
    assert!(report.complete && report.doubt.is_none());
    let facts = world.world.facts(id).await;
    let at = |name: &str| facts.iter().position(|fact| fact.name() == name).unwrap();
    assert!(at("tests_reported") < at("ended"));
    let State::Ended(ended) = world.world.stored(id).await.process.state else { unreachable!() };
    let error = ended.ending.exit().unwrap().first_error.clone().unwrap();
    assert_eq!(error.kind, "test_failure");
    assert!(error.message.ends_with("and 6 more"), "{}", error.message);
    let failed = world.page(AttemptKey { id, attempt: AttemptNo(1) }, true).await;
    assert_eq!(failed.len(), 7, "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn failed_test_names_the_place_in_the_output_that_reports_it() {
    let world = TestWorld::new().await;
    let (id, key) = world.started(command("cargo test")).await;
    let before = "a line of another program\n";
    world.world.spawner.output().write(key, OutputSource::Stderr, before.as_bytes());
    world.world.pass(seconds(2)).await;
    world.print(key, CARGO);
    world.world.spawner.exit(key, 101);
    world.world.end(id).await;
    let request = TestPageRequest { failed: true, from: 0, limit: 1000 };
    let page = world.world.engine.test_page(key, request).await.unwrap();
    assert_eq!(page.tests.len(), 7);
    for (test, _) in page.tests {
        let start = usize::try_from(test.case.offset.unwrap()).unwrap() - before.len();
        let report = CARGO.get(start..).unwrap();
        assert!(report.starts_with(&format!("---- {} stdout ----", test.case.id)), "{:.80}", report);
    }
}

#[tokio::test(start_paused = true)]
async fn results_are_incomplete_if_a_part_of_the_output_was_dropped() {
    let world = TestWorld::new().await;
    let (id, key) = world.started(command("cargo test")).await;
    let padding = "x".repeat(100) + "\n";
    world.world.spawner.output().write(key, OutputSource::Stderr, padding.as_bytes());
    world.print(key, CARGO);
    world.world.spawner.output().drop_middle(key, 10, 60);
    world.world.spawner.exit(key, 101);
    world.world.end(id).await;
    let report = world.tests(id).await.unwrap();
    assert_eq!((report.tally.passed, report.tally.failed, report.complete), (2, 7, false));
    assert!(report.notes.iter().any(|note| note.contains("dropped")), "{:?}", report.notes);
}

#[tokio::test(start_paused = true)]
async fn results_on_a_full_disk_use_no_space_and_say_what_is_missing() {
    for capacity in [0, 1_000, 2_000, 4_000] {
        let world = TestWorld::with_files(FakeTestFiles::default().with_capacity(capacity)).await;
        let id = world.ended_with(command("cargo test"), CARGO, 101).await;
        let report = world.tests(id).await.unwrap();
        assert_eq!((report.tally.passed, report.tally.failed), (2, 7));
        let key = AttemptKey { id, attempt: AttemptNo(1) };
        let content = |name: &str| world.files.content(key, name).unwrap_or_default();
        let (all, failed) = (content("tests.jsonl"), content("failed-tests.jsonl"));
        assert!(all.is_empty() && failed.is_empty(), "{capacity}: no list is stored in parts");
        for part in ["tests-console.part", "failed-tests-console.part"] {
            assert_eq!(content(part), b"", "{capacity}: {part}");
        }
        let note = "the list of all tests was not stored: the disk of the state directory is full";
        assert!(report.notes.iter().any(|each| each == note), "{capacity}: {:?}", report.notes);
        let lacks_ids = report.notes.iter().any(|each| each.starts_with("the ids of the failed tests"));
        assert_eq!(lacks_ids, content("tests.json").is_empty() || capacity == 1_000, "{:?}", report.notes);
    }
}

#[tokio::test(start_paused = true)]
async fn every_test_is_counted_once_while_the_output_grows() {
    let world = TestWorld::new().await;
    let (id, key) = world.started(command("cargo test")).await;
    world.print(key, "running 200 tests\n");
    for number in 0..200 {
        world.print(key, &format!("test t{number} ... ok\n"));
        world.world.pass(Duration::from_millis(20)).await;
    }
    world.world.pass(seconds(2)).await;
    assert_eq!(world.world.stored(id).await.live_stats.tests, Some(tally(200, 200, 0)));
    assert_eq!(world.page(key, false).await.len(), 200, "the list is stored while the tests run");
}

#[tokio::test(start_paused = true)]
async fn tests_are_counted_while_they_run_without_events() {
    let world = TestWorld::new().await;
    let (id, key) = world.started(command("cargo test")).await;
    world.print(key, "running 3 tests\ntest a ... ok\n");
    world.world.pass(seconds(3)).await;
    assert_eq!(world.world.stored(id).await.live_stats.tests, Some(tally(1, 1, 0)));
    world.print(key, "test b ... FAILED\n");
    world.world.pass(seconds(3)).await;
    assert_eq!(world.world.stored(id).await.live_stats.tests, Some(tally(2, 1, 1)));
    assert_eq!(world.page(key, false).await, ["a", "b"], "the results can be read while the tests run");
    let facts = world.world.facts(id).await;
    assert!(facts.iter().all(|fact| !fact.name().starts_with("tests")), "{facts:?}");
}

#[tokio::test(start_paused = true)]
async fn run_that_was_killed_keeps_its_results_as_incomplete() {
    let world = TestWorld::new().await;
    let (id, key) = world.started(command("cargo test")).await;
    world.print(key, CARGO_KILLED);
    world.world.pass(seconds(2)).await;
    world.world.cancel(id).await;
    assert_eq!(world.world.end(id).await, Status::Cancelled);
    let report = world.tests(id).await.unwrap();
    assert!(!report.complete && report.tally.total > 0, "{report:?}");
    assert_eq!(report.doubt, None, "the run did not claim success");
}

#[tokio::test(start_paused = true)]
async fn plugin_is_loaded_for_pytest_and_its_report_wins_over_the_output() {
    let world = TestWorld::new().await;
    let (id, key) = world.started(command("pytest -q")).await;
    let variables = world.world.orders.lock().unwrap().last().unwrap().environment.clone();
    let value =
        |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    assert_eq!(value("PYTHONPATH").as_deref(), Some("/plugin"));
    assert!(value("LONGHAUL_PYTEST_REPORT").is_some_and(|path| path.ends_with("/pytest-report.jsonl")));
    world.files.append(key, "pytest-report.jsonl", PLUGIN.as_bytes());
    world.print(key, "a line that is no result\n");
    world.world.spawner.exit(key, 1);
    world.world.end(id).await;
    let report = world.tests(id).await.unwrap();
    assert_eq!(report.source.as_deref(), Some("plugin"));
    let TestTally { total, passed, failed, errors, skipped, xfailed, .. } = report.tally;
    assert_eq!((total, passed, failed, errors, skipped, xfailed), (9, 3, 3, 1, 1, 1));
    assert_eq!(world.page(key, false).await.len(), 9);
    assert_eq!(world.page(key, true).await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn other_commands_and_launches_that_want_no_results_get_no_plugin() {
    let world = TestWorld::new().await;
    let script = CommandSpec::of("sh", &["-c", "pip freeze && pytest"], "/work");
    for spec in [
        command("run"),
        with_tests("pytest", TestReporting::Off),
        command("pytest --collect-only"),
        Spec::of(Work::Command(Box::new(script))),
    ] {
        world.started(spec).await;
        let variables = world.world.orders.lock().unwrap().last().unwrap().environment.clone();
        assert!(variables.iter().all(|(name, _)| name != "PYTHONPATH"), "{variables:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_of_the_manager_the_results_are_collected_again_and_counted_once() {
    let mut world = TestWorld::new().await;
    let (id, key) = world.started(command("pytest")).await;
    world.files.append(key, "pytest-report.jsonl", PLUGIN_KILLED.as_bytes());
    world.print(key, "..\n");
    world.world.pass(seconds(3)).await;
    let before = world.world.stored(id).await.live_stats.tests.unwrap();
    world.world.crash().await;
    world.print(key, ".\n");
    world.world.pass(seconds(3)).await;
    assert_eq!(world.world.stored(id).await.live_stats.tests, Some(before));
    world.world.spawner.exit(key, 1);
    world.world.end(id).await;
    let report = world.tests(id).await.unwrap();
    assert_eq!((report.tally, report.complete), (before, false));
    assert_eq!(u64::try_from(world.page(key, false).await.len()), Ok(before.total));
}

#[tokio::test(start_paused = true)]
async fn end_that_no_manager_observed_still_has_its_results() {
    let mut world = TestWorld::new().await;
    let (id, key) = world.started(command("cargo test")).await;
    world.world.engine.abandon();
    world.print(key, CARGO);
    world.world.spawner.exit(key, 101);
    world.world.crash().await;
    world.world.end(id).await;
    let report = world.tests(id).await.unwrap();
    assert_eq!((report.tally.passed, report.tally.failed), (2, 7));
}

#[tokio::test(start_paused = true)]
async fn success_without_tests_raises_a_warning() {
    let world = TestWorld::new().await;
    let suite = Spec { kind: ProcessType::TestSuite, ..command("run") };
    let id = world.ended_with(suite, "all good\n", 0).await;
    assert_eq!(world.world.status(id).await, Status::Completed);
    let report = world.tests(id).await.unwrap();
    assert_eq!(report.doubt.unwrap().kind, "no_tests");
    let facts = world.world.facts(id).await;
    assert!(facts.iter().any(|fact| matches!(fact, Fact::TestsDoubted(doubt) if doubt.kind == "no_tests")));
}

#[tokio::test(start_paused = true)]
async fn success_with_far_fewer_tests_than_in_the_last_run_raises_a_warning() {
    let world = TestWorld::new().await;
    let output = |tests: u32| {
        let lines: String = (0..tests).map(|number| format!("test t{number} ... ok\n")).collect();
        format!(
            "running {tests} tests\n{lines}\ntest result: ok. {tests} passed; 0 failed; 0 ignored; 0 measured; \
             0 filtered out; finished in 0.00s\n"
        )
    };
    let spec = Spec { name: ProcessName::new("unit").ok(), ..command("cargo test") };
    let first = world.ended_with(spec.clone(), &output(10), 0).await;
    assert_eq!(world.tests(first).await.unwrap().doubt, None);
    let second = world.ended_with(spec.clone(), &output(4), 0).await;
    assert_eq!(world.tests(second).await.unwrap().doubt.unwrap().kind, "fewer_than_before");
    let again = world.ended_with(spec.clone(), &output(4), 0).await;
    assert_eq!(
        world.tests(again).await.unwrap().doubt.unwrap().kind,
        "fewer_than_before",
        "the shrunken run is no baseline"
    );
    let rerun = Spec { name: spec.name, ..command("cargo test -- --exact t1") };
    let third = world.ended_with(rerun, &output(1), 0).await;
    assert_eq!(world.tests(third).await.unwrap().doubt, None, "another command selects other tests");
}

#[tokio::test(start_paused = true)]
async fn failures_are_new_or_known_by_the_runs_before() {
    let world = TestWorld::new().await;
    let output = |failed: &[&str]| {
        let lines: String = ["a", "b"]
            .iter()
            .map(|id| format!("test {id} ... {}\n", if failed.contains(id) { "FAILED" } else { "ok" }))
            .collect();
        let (bad, good) = (failed.len(), 2 - failed.len());
        format!(
            "running 2 tests\n{lines}\ntest result: FAILED. {good} passed; {bad} failed; 0 ignored; 0 measured; \
             0 filtered out; finished in 0.00s\n"
        )
    };
    let spec = Spec { name: ProcessName::new("unit").ok(), ..command("cargo test") };
    let first = world.ended_with(spec.clone(), &output(&["a"]), 101).await;
    assert_eq!(world.tests(first).await.unwrap().failures[0].history, None);
    let second = world.ended_with(spec, &output(&["a", "b"]), 101).await;
    let histories: Vec<_> = world
        .tests(second)
        .await
        .unwrap()
        .failures
        .into_iter()
        .map(|failed| (failed.id, failed.history.unwrap()))
        .collect();
    assert_eq!(histories, [("a".to_owned(), "known".to_owned()), ("b".to_owned(), "new".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn only_a_report_that_is_newer_than_the_start_is_read() {
    let world = TestWorld::new().await;
    let spec = || with_tests("make check", TestReporting::Junit("out.xml".to_owned()));
    world.files.write_report("out.xml", JUNIT.as_bytes(), Timestamp(i64::MIN));
    let stale = world.ended_with(spec(), "", 0).await;
    let report = world.tests(stale).await.unwrap();
    assert_eq!((report.tally.total, report.source.as_deref()), (0, None));
    assert_eq!(report.doubt.unwrap().kind, "unreadable");
    assert!(report.notes[0].contains("older than the test run"), "{:?}", report.notes);
    let (id, key) = world.started(spec()).await;
    world.files.write_report("out.xml", JUNIT.as_bytes(), world.world.clock.now());
    world.world.spawner.exit(key, 1);
    world.world.end(id).await;
    let report = world.tests(id).await.unwrap();
    assert_eq!((report.tally.total, report.source.as_deref()), (9, Some("junit")));
}

#[tokio::test(start_paused = true)]
async fn report_with_a_time_in_the_future_is_not_read() {
    let world = TestWorld::new().await;
    let spec = with_tests("make check", TestReporting::Junit("out.xml".to_owned()));
    let future = world.world.clock.now().plus(Duration::from_secs(3600));
    world.files.write_report("out.xml", JUNIT.as_bytes(), future);
    let id = world.ended_with(spec, "", 0).await;
    let report = world.tests(id).await.unwrap();
    assert_eq!((report.tally.total, report.doubt.unwrap().kind.as_str()), (0, "unreadable"));
    assert!(report.notes[0].contains("in the future"), "{:?}", report.notes);
}

#[tokio::test(start_paused = true)]
async fn file_that_is_no_report_is_named_with_its_kind() {
    let world = TestWorld::new().await;
    let spec = with_tests("make check", TestReporting::Junit("out.xml".to_owned()));
    world.files.refuse_report("out.xml", "it is a named pipe");
    let id = world.ended_with(spec, "", 0).await;
    let report = world.tests(id).await.unwrap();
    assert_eq!(report.doubt.unwrap().kind, "unreadable");
    assert_eq!(report.notes, ["the report out.xml was not read: it is a named pipe"]);
}

#[tokio::test(start_paused = true)]
async fn replaced_directory_with_reports_is_reported() {
    let world = TestWorld::new().await;
    let spec = || with_tests("make check", TestReporting::Junit("out.xml".to_owned()));
    world.files.set_report_directory("build/", 1);
    for (number, is_replaced) in [(1, false), (2, true)] {
        let (id, key) = world.started(spec()).await;
        world.files.write_report("out.xml", JUNIT.as_bytes(), world.world.clock.now());
        world.files.set_report_directory("build/", number);
        world.world.spawner.exit(key, 1);
        world.world.end(id).await;
        let report = world.tests(id).await.unwrap();
        let has_note =
            report.notes.iter().any(|note| note.contains("build/ was replaced during the test run"));
        assert_eq!((has_note, report.tally.total), (is_replaced, 9), "{:?}", report.notes);
    }
}

#[tokio::test(start_paused = true)]
async fn results_are_incomplete_if_some_reports_were_not_read() {
    let world = TestWorld::new().await;
    let (id, key) = world.started(with_tests("make check", TestReporting::Junit("out.xml".to_owned()))).await;
    world.files.match_more_reports();
    world.files.write_report("out.xml", JUNIT.as_bytes(), world.world.clock.now());
    world.world.spawner.exit(key, 1);
    world.world.end(id).await;
    let report = world.tests(id).await.unwrap();
    assert_eq!((report.tally.total, report.complete), (9, false));
    assert!(report.notes.iter().any(|note| note.contains("more than 500 reports")), "{:?}", report.notes);
}

#[tokio::test(start_paused = true)]
async fn report_that_contradicts_itself_is_doubted_also_after_a_failure() {
    let world = TestWorld::new().await;
    for code in [0, 1] {
        let spec = with_tests("make check", TestReporting::Junit("out.xml".to_owned()));
        let (id, key) = world.started(spec).await;
        let suite = "<testsuite name='s' tests='1000000' failures='1'><testcase name='a'/><testcase name='b'/>\
                     </testsuite>";
        world.files.write_report("out.xml", suite.as_bytes(), world.world.clock.now());
        world.world.spawner.exit(key, code);
        world.world.end(id).await;
        let report = world.tests(id).await.unwrap();
        assert_eq!((report.tally, report.complete), (tally(2, 2, 0), false));
        let doubt = report.doubt.unwrap();
        assert_eq!(doubt.kind, "contradiction");
        assert!(doubt.message.contains("1000000 tests and 1 failures") && doubt.message.contains("2 tests"));
    }
}

#[tokio::test(start_paused = true)]
async fn missing_and_cut_reports_are_said() {
    let world = TestWorld::new().await;
    let spec = || with_tests("make check", TestReporting::Junit("out.xml".to_owned()));
    let missing = world.ended_with(spec(), "", 1).await;
    let report = world.tests(missing).await.unwrap();
    assert!(report.notes[0].contains("there is no report \"out.xml\""), "{:?}", report.notes);
    let (id, key) = world.started(spec()).await;
    let cut = JUNIT.get(..JUNIT.len() / 2).unwrap();
    world.files.write_report("out.xml", cut.as_bytes(), world.world.clock.now());
    world.world.spawner.exit(key, 1);
    world.world.end(id).await;
    let report = world.tests(id).await.unwrap();
    assert!(!report.complete && report.tally.total > 0);
    assert!(report.notes.iter().any(|note| note.contains("unreadable")), "{:?}", report.notes);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_own_results() {
    let world = TestWorld::new().await;
    let (id, key) = world.started(retrying("cargo test", 1)).await;
    world.print(key, CARGO);
    world.world.spawner.exit(key, 101);
    world.world.pass(seconds(60)).await;
    let process = world.world.stored(id).await.process;
    assert_eq!((process.attempt, process.tests), (AttemptNo(2), None));
    let second = AttemptKey { attempt: AttemptNo(2), ..key };
    world.print(
        second,
        "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; \
                         0 measured; 0 filtered out; finished in 0.00s\n",
    );
    world.world.spawner.exit(second, 0);
    world.world.end(id).await;
    assert_eq!(world.tests(id).await.unwrap().tally, tally(1, 1, 0));
    assert_eq!(world.page(key, true).await.len(), 7, "the results of the first attempt remain");
}

#[tokio::test(start_paused = true)]
async fn command_that_only_looks_like_a_test_run_has_no_results() {
    let world = TestWorld::new().await;
    let id = world.ended_with(command("cargo test"), "error: could not find `Cargo.toml`\n", 101).await;
    let report = world.tests(id).await;
    assert!(report.is_none_or(|report| report.tally.total == 0));
    let plain = world.ended_with(command("run"), CARGO, 0).await;
    assert_eq!(world.tests(plain).await, None);
}
