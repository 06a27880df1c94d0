use crate::attention::adjusted;
use crate::world::{World, command, percent, reported, seconds};
use longhaul_domain::{
    Action, Condition, EtaSource, LiveStats, ProcessId, ProcessName, Progress, ProgressDetection,
    ProgressReport, ProjectName, SilencePolicy, Spec, Stage, State, Status,
};
use longhaul_engine::EngineError;
use longhaul_engine::ports::{Clock, OutputSource};
use std::time::Duration;

fn detecting(words: &str, detection: &str) -> Spec {
    adjusted(words, |command| command.progress = ProgressDetection::named(detection))
}

impl World {
    async fn live_stats(&self, id: ProcessId) -> LiveStats {
        self.stored(id).await.live_stats
    }

    async fn progress(&self, id: ProcessId) -> Option<f64> {
        self.live_stats(id).await.progress.map(Progress::percent)
    }

    async fn eta(&self, id: ProcessId) -> Option<(Duration, EtaSource)> {
        self.live_stats(id).await.eta(self.clock.now())
    }

    /// Launches a running command with this setting for the detection of progress.
    async fn detect(&self, detection: &str) -> ProcessId {
        self.started(detecting("run", detection)).await
    }

    async fn started(&self, spec: Spec) -> ProcessId {
        let id = self.launch_spec(spec).await;
        self.pass(seconds(1)).await;
        id
    }

    /// Writes output, and returns the progress after it was read.
    async fn progress_after(&self, id: ProcessId, text: &str) -> Option<f64> {
        self.says(id, OutputSource::Stdout, text).await;
        self.pass(seconds(2)).await;
        self.progress(id).await
    }

    async fn reports(&self, id: ProcessId, lines: &[u8]) {
        self.spawner.output().write_progress(self.key(id).await, lines);
        self.pass(seconds(2)).await;
    }

    /// Runs a command for `time` seconds. The command then exits with this code.
    async fn run_for(&self, spec: Spec, time: u64, code: i32) {
        let id = self.launch_spec(spec).await;
        self.pass(seconds(time)).await;
        self.spawner.exit(self.key(id).await, code);
        self.end(id).await;
    }

    /// Crashes the manager. Checks that the next manager knows the live stats and writes nothing.
    async fn is_known_after_a_crash(&mut self, id: ProcessId) {
        let before = self.stored(id).await;
        self.crash().await;
        self.pass(seconds(5)).await;
        let after = self.stored(id).await;
        assert_eq!((before.live_stats, before.revision), (after.live_stats, after.revision));
    }

    /// Stops the manager like a kill. The next manager starts with `crash`.
    async fn lose_manager(&self) {
        self.engine.abandon();
        self.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn progress_in_the_output_is_known_within_a_second_if_it_was_asked_for() {
    let world = World::new().await;
    let auto = world.launch_spec(detecting("run", "auto")).await;
    let off = world.launch("run").await;
    world.pass(seconds(1)).await;
    for id in [auto, off] {
        world.says(id, OutputSource::Stderr, "\r 45%|####  | 45/100 [00:10<00:12,  4.40it/s]").await;
    }
    world.pass(seconds(1)).await;
    assert_eq!((world.progress(auto).await, world.progress(off).await), (Some(45.0), None));
    let (left, source) = world.eta(auto).await.unwrap();
    assert!((10..=12).contains(&left.as_secs()), "{left:?}");
    assert_eq!(source, EtaSource::Progress);
    assert_eq!(world.live_stats(auto).await.last_heartbeat, None, "output does not count as a report");
    world.says(auto, OutputSource::Stdout, "I am 100% sure\n").await;
    let after = world.progress_after(auto, "\x1b]9;4;1;60\x07").await;
    assert_eq!(after, Some(45.0), "another bar does not replace the first bar");
}

#[tokio::test(start_paused = true)]
async fn pattern_of_the_user_and_terminal_sequences_are_read_and_a_new_phase_may_go_back() {
    let world = World::new().await;
    let id = world.detect(r"row (?P<done>\d+) of (?P<total>\d+)").await;
    for (text, progress) in [
        ("row 25 of 50\n", 50.0),
        ("row 20 of 50\n", 50.0),
        ("row 50 of 50\n", 100.0),
        ("row 1 of 50\n", 2.0),
        ("\x1b]9;4;1;60\x07\n", 2.0),
    ] {
        assert_eq!(world.progress_after(id, text).await, Some(progress), "{text}");
    }
    let terminal = world.detect("auto").await;
    assert_eq!(world.progress_after(terminal, "\x1b]9;4;1;60\x07").await, Some(60.0));
}

#[tokio::test(start_paused = true)]
async fn the_next_manager_knows_the_progress_and_writes_nothing_that_is_known() {
    let mut world = World::new().await;
    let id = world.detect("auto").await;
    for percent in [10, 40, 70] {
        world.progress_after(id, &format!("Progress: {percent}%\n")).await;
        world.pass(seconds(1)).await;
    }
    world.is_known_after_a_crash(id).await;
    world.lose_manager().await;
    world.says(id, OutputSource::Stdout, "Progress: 80%\n").await;
    world.crash().await;
    world.pass(seconds(2)).await;
    assert_eq!(world.progress(id).await, Some(80.0));
}

#[tokio::test(start_paused = true)]
async fn report_of_the_worker_outranks_its_output() {
    let world = World::new().await;
    let id = world.detect("auto").await;
    world.progress_after(id, "Progress: 10%\n").await;
    world.ask(id, percent(30.0)).await.unwrap();
    assert_eq!(world.progress_after(id, "Progress: 90%\n").await, Some(30.0));
}

#[tokio::test(start_paused = true)]
async fn last_progress_is_read_before_the_end_and_stored_with_it() {
    let world = World::new().await;
    for (detection, output, lines) in
        [("auto", "Progress: 62%\n", ""), ("fd", "", "{\"done\":62,\"total\":100}\n")]
    {
        let id = world.detect(detection).await;
        let key = world.key(id).await;
        world.spawner.output().write(key, OutputSource::Stdout, output.as_bytes());
        world.spawner.output().write_progress(key, lines.as_bytes());
        world.spawner.exit(key, 3);
        assert_eq!(world.end(id).await, Status::Failed);
        let ended = world.stored(id).await;
        let State::Ended(end) = &ended.process.state else { panic!("{ended:?}") };
        assert_eq!(end.live_stats.progress.map(Progress::percent), Some(62.0), "{detection}");
    }
}

#[tokio::test(start_paused = true)]
async fn pattern_without_a_progress_is_refused_at_the_launch() {
    let world = World::new().await;
    for pattern in ["atuo", "(", "(?P<done>x)", &format!("(?P<percent>{})", "x".repeat(2_000))] {
        let refused = world.try_launch(detecting("run", pattern)).await;
        let Err(EngineError::Invalid { what: "progress", help: Some(help), .. }) = refused else {
            panic!("{pattern}: {refused:?}")
        };
        assert!(help.contains("(?P<percent>") && help.contains("(?P<total>"), "{help}");
    }
}

fn named(words: &str, name: &str, project: Option<&str>) -> Spec {
    let project = project.map(|project| ProjectName::new(project).unwrap());
    Spec { name: Some(ProcessName::new(name).unwrap()), project, ..command(words) }
}

#[tokio::test(start_paused = true)]
async fn remaining_time_is_estimated_from_earlier_runs_of_the_same_project_and_name() {
    let world = World::new().await;
    for (time, code) in [(30, 0), (100, 0), (60, 0), (900, 1)] {
        world.run_for(named("run", "build", Some("shop")), time, code).await;
    }
    let id = world.launch_spec(named("run", "build", Some("shop"))).await;
    let others = [("build", None), ("test", Some("shop")), ("build", Some("other"))];
    let mut strangers = Vec::new();
    for (name, project) in others {
        strangers.push(world.launch_spec(named("run", name, project)).await);
    }
    world.pass(seconds(20)).await;
    let (left, source) = world.eta(id).await.unwrap();
    assert_eq!((left.as_secs(), source), (40, EtaSource::History));
    for stranger in strangers {
        assert_eq!(world.eta(stranger).await, None);
    }
    assert_eq!(world.progress(id).await, None, "there is no progress");
    world.pass(seconds(50)).await;
    assert_eq!(world.eta(id).await, None, "it takes longer than usual");
}

#[tokio::test(start_paused = true)]
async fn progress_of_this_run_replaces_the_estimate_from_earlier_runs() {
    let mut world = World::new().await;
    world.run_for(named("run", "build", None), 100, 0).await;
    let id = world.launch_spec(named("run", "build", None)).await;
    world.pass(seconds(10)).await;
    assert_eq!(world.eta(id).await.unwrap().1, EtaSource::History);
    world.crash().await;
    world.pass(seconds(5)).await;
    assert_eq!(world.eta(id).await, Some((seconds(85), EtaSource::History)));
    world.ask(id, percent(10.0)).await.unwrap();
    assert_eq!(world.eta(id).await, None);
    world.pass(seconds(5)).await;
    world.ask(id, percent(20.0)).await.unwrap();
    assert_eq!(world.eta(id).await.unwrap().1, EtaSource::Progress);
}

#[tokio::test(start_paused = true)]
async fn estimate_is_no_sign_of_life_of_a_reporter() {
    let world = World::new().await;
    let first = world.launch_spec(Spec { name: named("x", "sync", None).name, ..reported(|_| {}) }).await;
    world.pass(seconds(100)).await;
    world.ask(first, Action::Complete { result: None }).await.unwrap();
    let spec = Spec {
        name: named("x", "sync", None).name,
        ..reported(|reported| reported.heartbeat = Some(seconds(60)))
    };
    let id = world.launch_spec(spec).await;
    world.pass(seconds(10)).await;
    assert_eq!(world.eta(id).await, Some((seconds(90), EtaSource::History)));
    assert_eq!(world.live_stats(id).await.last_heartbeat, None);
}

#[tokio::test(start_paused = true)]
async fn work_whose_progress_stops_is_stalled_until_it_advances() {
    let world = World::new().await;
    let silence = SilencePolicy { idle_after: None, stall_after: Some(seconds(60)) };
    let id = world.launch_spec(Spec { silence, ..detecting("run", "auto") }).await;
    let other = world.started(Spec { silence, ..detecting("run", "auto") }).await;
    world.says(id, OutputSource::Stdout, "Progress: 40%\n").await;
    for second in 0..70 {
        world.says(id, OutputSource::Stdout, &format!("still here {second}\n")).await;
        world.says(other, OutputSource::Stdout, "no progress at all\n").await;
        world.pass(seconds(1)).await;
    }
    assert!(world.holds(id, Condition::Stalled).await);
    assert!(!world.holds(other, Condition::Stalled).await, "without progress, output ends the silence");
    let stage = Some(Stage::new("copy").unwrap());
    let report = ProgressReport { stage, ..ProgressReport::default() };
    world.ask(id, Action::Progress(report)).await.unwrap();
    world.pass(seconds(5)).await;
    assert!(world.holds(id, Condition::Stalled).await, "a new stage does not count as an advance");
    world.progress_after(id, "Progress: 41%\n").await;
    assert!(!world.holds(id, Condition::Stalled).await);
    world.says(id, OutputSource::Stdout, "Progress: 100%\n").await;
    for _ in 0..70 {
        world.says(id, OutputSource::Stdout, "cleaning up\n").await;
        world.pass(seconds(1)).await;
    }
    assert!(!world.holds(id, Condition::Stalled).await, "complete progress cannot advance");
}

#[tokio::test(start_paused = true)]
async fn paused_work_does_not_stall() {
    let world = World::new().await;
    let silence = SilencePolicy { idle_after: None, stall_after: Some(seconds(60)) };
    let id = world.started(Spec { silence, ..detecting("run", "auto") }).await;
    world.says(id, OutputSource::Stdout, "Progress: 40%\n").await;
    world.pass(seconds(50)).await;
    world.ask(id, Action::Pause).await.unwrap();
    world.pass(seconds(600)).await;
    world.ask(id, Action::Resume).await.unwrap();
    for _ in 0..50 {
        world.says(id, OutputSource::Stdout, "on it\n").await;
        world.pass(seconds(1)).await;
    }
    assert!(!world.holds(id, Condition::Stalled).await);
}

#[tokio::test(start_paused = true)]
async fn flood_of_output_does_not_hide_the_latest_progress() {
    let world = World::new().await;
    let id = world.detect("auto").await;
    world.says(id, OutputSource::Stdout, "Progress: 10%\n").await;
    let flood = "a line that shows no progress at all\n".repeat(30_000);
    for _ in 0..9 {
        world.spawner.output().write(world.key(id).await, OutputSource::Stdout, flood.as_bytes());
    }
    assert_eq!(world.progress_after(id, "Progress: 90%\n").await, Some(90.0));
}

#[tokio::test(start_paused = true)]
async fn lines_in_the_progress_file_are_reports_of_the_worker() {
    let world = World::new().await;
    let id = world.detect("fd").await;
    world.reports(id, b"{\"percent\":40,\"stage\":\"copy\",\"eta_s\":30}\n{\"perc").await;
    let live_stats = world.live_stats(id).await;
    assert_eq!(live_stats.progress.map(Progress::percent), Some(40.0));
    assert_eq!(live_stats.stage.map(|stage| stage.to_string()), Some("copy".to_owned()));
    let (left, source) = world.eta(id).await.unwrap();
    assert!((26..=30).contains(&left.as_secs()), "{left:?}");
    assert_eq!(source, EtaSource::Reported);
    world.reports(id, b"ent\":60}\ngarbage\n\xff\xfe{\"percent\":\"x\"}\n{\"percent\":1e300}\n").await;
    assert_eq!(world.progress(id).await, Some(60.0));
    assert_eq!(world.progress_after(id, "Progress: 5%\n").await, Some(60.0), "fd does not search the output");
}

#[tokio::test(start_paused = true)]
async fn progress_file_outlasts_the_manager_and_old_lines_do_not_undo_a_later_report() {
    let mut world = World::new().await;
    let id = world.detect("auto").await;
    world.reports(id, b"{\"percent\":10}\n").await;
    assert_eq!(world.progress(id).await, Some(10.0));
    world.pass(seconds(3)).await;
    world.ask(id, percent(50.0)).await.unwrap();
    world.pass(seconds(5)).await;
    world.is_known_after_a_crash(id).await;
    world.lose_manager().await;
    world.spawner.output().write_progress(world.key(id).await, b"{\"percent\":70}\n");
    world.crash().await;
    world.pass(seconds(5)).await;
    assert_eq!(world.progress(id).await, Some(70.0));
}

#[tokio::test(start_paused = true)]
async fn flood_of_lines_is_reported_once_per_second() {
    let world = World::new().await;
    let id = world.detect("fd").await;
    let key = world.key(id).await;
    for step in 0..200 {
        world.spawner.output().write_progress(key, format!("{{\"stage\":\"step {step}\"}}\n").as_bytes());
        world.pass(Duration::from_millis(50)).await;
    }
    let stages = world.told(id).await.iter().filter(|fact| *fact == "stage_changed").count();
    assert!((9..=12).contains(&stages), "{stages}");
}
