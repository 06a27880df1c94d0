use crate::attention::adjusted;
use crate::world::{World, reported, seconds};
use longhaul_domain::{
    Action, Capabilities, Fact, ProgressReport, RetryPolicy, Spec, Stage, Status, WatchPattern, WatchSource,
};
use longhaul_engine::EngineError;
use longhaul_engine::ports::OutputSource;
use std::time::Duration;

fn watching(words: &str, patterns: &[(&str, &str, WatchSource)]) -> Spec {
    adjusted(words, |command| {
        command.watch = patterns
            .iter()
            .map(|(name, pattern, source)| WatchPattern {
                name: (*name).to_owned(),
                pattern: (*pattern).to_owned(),
                source: *source,
            })
            .collect();
    })
}

#[tokio::test(start_paused = true)]
async fn a_matching_line_is_reported_with_its_position_and_stream() {
    let world = World::new().await;
    let patterns = [("errors", "(?i)^error", WatchSource::Stderr), ("any", "rr", WatchSource::Both)];
    let id = world.launch_spec(watching("run", &patterns)).await;
    world.pass(seconds(1)).await;
    world.says(id, OutputSource::Stdout, "error on stdout\n").await;
    world.says(id, OutputSource::Stderr, "fine\n\x1b[31mError\x1b[0m: no\tspace\n").await;
    assert_eq!(
        world.told(id).await,
        ["any: error on stdout", "errors: Error: no␉space", "any: Error: no␉space"]
    );
    let offsets: Vec<u64> = world
        .facts(id)
        .await
        .iter()
        .filter_map(|fact| if let Fact::OutputMatched { offset, .. } = fact { Some(*offset) } else { None })
        .collect();
    assert_eq!(offsets, [0, 21, 21]);
}

#[tokio::test(start_paused = true)]
async fn a_match_in_the_last_output_is_reported_before_the_end() {
    let world = World::new().await;
    let pattern = [("fatal", "fatal", WatchSource::Both)];
    let id = world.launch_spec(watching("echo fatal error", &pattern)).await;
    assert_eq!(world.end(id).await, Status::Completed);
    assert_eq!(world.told(id).await, ["fatal: fatal error", "ended"]);
    let id = world.launch_spec(watching("run", &pattern)).await;
    world.pass(seconds(2)).await;
    let key = world.key(id).await;
    world.spawner.output().write(key, OutputSource::Stderr, b"fatal without a line feed");
    world.spawner.exit(key, 3);
    assert_eq!(world.end(id).await, Status::Failed);
    assert_eq!(world.told(id).await, ["fatal: fatal without a line feed", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_line_is_reported_soon_and_once() {
    let world = World::new().await;
    let id = world.launch_spec(watching("run", &[("asks", "password", WatchSource::Both)])).await;
    world.pass(seconds(1)).await;
    world.says(id, OutputSource::Stdout, "Your password: ").await;
    world.pass(Duration::from_millis(400)).await;
    assert_eq!(world.told(id).await, ["asks: Your password: "]);
    world.says(id, OutputSource::Stdout, "thanks\n").await;
    world.pass(seconds(1)).await;
    assert_eq!(world.told(id).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn matches_are_reported_a_hundred_times_and_long_lines_are_cut() {
    let world = World::new().await;
    let patterns = [("w", "^warn", WatchSource::Both), ("e", "^err", WatchSource::Both)];
    let id = world.launch_spec(watching("run", &patterns)).await;
    world.pass(seconds(1)).await;
    world.says(id, OutputSource::Stdout, &"warn\n".repeat(150)).await;
    world.pass(seconds(1)).await;
    assert_eq!(world.told(id).await.len(), 100);
    world.says(id, OutputSource::Stdout, &format!("err{}\n", "x".repeat(5_000))).await;
    world.pass(seconds(1)).await;
    let told = world.told(id).await;
    assert_eq!(told.len(), 101);
    assert_eq!(told.last().unwrap().len(), "e: ".len() + 200);
}

#[tokio::test(start_paused = true)]
async fn the_next_manager_reports_matches_between_the_runs_and_none_twice() {
    let mut world = World::new().await;
    let patterns = [("e", "err", WatchSource::Both), ("two", "2", WatchSource::Both)];
    let id = world.launch_spec(watching("run", &patterns)).await;
    world.pass(seconds(1)).await;
    // The line that starts first is completed last, and is therefore reported last.
    world.says(id, OutputSource::Stdout, "err").await;
    world.says(id, OutputSource::Stderr, "err 0\n").await;
    world.says(id, OutputSource::Stdout, " 1\n").await;
    world.engine.abandon();
    world.settle().await;
    world.says(id, OutputSource::Stdout, "err 2\nfine\n").await;
    world.crash().await;
    world.pass(seconds(1)).await;
    world.says(id, OutputSource::Stdout, "err 3\n").await;
    let all = ["e: err 0", "e: err 1", "e: err 2", "two: err 2", "e: err 3"];
    assert_eq!(world.told(id).await, all);
    world.crash().await;
    world.pass(seconds(1)).await;
    assert_eq!(world.told(id).await, all);
}

#[tokio::test(start_paused = true)]
async fn a_match_without_a_manager_is_reported_before_the_end() {
    let mut world = World::new().await;
    let id = world.launch_spec(watching("run", &[("fatal", "fatal", WatchSource::Both)])).await;
    world.pass(seconds(1)).await;
    world.says(id, OutputSource::Stdout, "fatal: one\n").await;
    world.engine.abandon();
    world.settle().await;
    let key = world.key(id).await;
    world.spawner.output().write(key, OutputSource::Stderr, b"fatal: two");
    world.spawner.exit(key, 3);
    world.crash().await;
    world.settle().await;
    assert_eq!(world.told(id).await, ["fatal: fatal: one", "fatal: fatal: two", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn the_match_limit_of_an_earlier_manager_still_applies() {
    let mut world = World::new().await;
    let id = world.launch_spec(watching("run", &[("w", "^warn", WatchSource::Both)])).await;
    world.pass(seconds(1)).await;
    world.says(id, OutputSource::Stdout, &"warn\n".repeat(99)).await;
    world.pass(seconds(1)).await;
    world.crash().await;
    world.says(id, OutputSource::Stdout, &"warn\n".repeat(9)).await;
    world.pass(seconds(1)).await;
    assert_eq!(world.told(id).await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn the_matches_of_one_attempt_do_not_count_for_the_next() {
    let mut world = World::new().await;
    let spec = Spec {
        retry: RetryPolicy { retries: 1, ..RetryPolicy::none() },
        ..watching("run", &[("e", "err", WatchSource::Both)])
    };
    let id = world.launch_spec(spec).await;
    world.pass(seconds(1)).await;
    world.says(id, OutputSource::Stdout, "err 1\n").await;
    world.spawner.exit(world.key(id).await, 3);
    world.pass(seconds(60)).await;
    assert_eq!(world.status(id).await, Status::Running);
    world.engine.abandon();
    world.settle().await;
    world.says(id, OutputSource::Stdout, "err 2\n").await;
    world.crash().await;
    world.pass(seconds(1)).await;
    assert_eq!(world.told(id).await, ["e: err 1", "retry_scheduled", "became_due", "e: err 2"]);
}

#[tokio::test(start_paused = true)]
async fn the_output_of_a_paused_command_is_still_searched() {
    let world = World::new().await;
    let id = world.launch_spec(watching("run", &[("e", "err", WatchSource::Both)])).await;
    world.pass(seconds(1)).await;
    world.ask(id, longhaul_domain::Action::Pause).await.unwrap();
    world.says(id, OutputSource::Stdout, "err\n").await;
    assert_eq!(world.told(id).await, ["paused", "e: err"]);
}

#[tokio::test(start_paused = true)]
async fn a_pattern_that_makes_no_sense_is_refused_at_the_launch() {
    let world = World::new().await;
    let refused = world.try_launch(watching("run", &[("e", "(", WatchSource::Both)])).await;
    assert!(matches!(refused, Err(EngineError::Invalid { what: "watch", .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_line_with_a_gap_is_searched_only_after_the_gap() {
    let world = World::new().await;
    let id = world.launch_spec(watching("run", &[("e", "error", WatchSource::Both)])).await;
    world.pass(seconds(1)).await;
    world.says(id, OutputSource::Stdout, "er").await;
    world.spawner.output().drop_middle(world.key(id).await, 2, 5);
    world.says(id, OutputSource::Stdout, "xxxror\n").await;
    world.says(id, OutputSource::Stdout, "an error\n").await;
    assert_eq!(world.told(id).await, ["e: an error"]);
}

#[tokio::test(start_paused = true)]
async fn output_is_watched_though_no_tree_can_be_inspected() {
    let world = World::able(Capabilities { inspection: false, ..Capabilities::ALL }).await;
    let id = world.launch_spec(watching("run", &[("e", "error", WatchSource::Both)])).await;
    world.pass(seconds(1)).await;
    world.says(id, OutputSource::Stdout, "error\n").await;
    assert_eq!(world.told(id).await, ["e: error"]);
}

#[tokio::test(start_paused = true)]
async fn no_match_is_reported_twice_after_a_restart_with_a_long_log() {
    let mut world = World::new().await;
    let id = world.launch_spec(watching("run", &[("e", "error", WatchSource::Both)])).await;
    let noisy = world.launch_spec(reported(|_| {})).await;
    world.pass(seconds(1)).await;
    for number in 0..1_010 {
        let stage = Stage::new(if number % 2 == 0 { "copy" } else { "verify" }).ok();
        let report = ProgressReport { stage, ..ProgressReport::default() };
        world.ask(noisy, Action::Progress(report)).await.unwrap();
    }
    world.says(id, OutputSource::Stdout, "error\n").await;
    world.crash().await;
    world.pass(seconds(1)).await;
    assert_eq!(world.told(id).await, ["e: error"]);
}
