use crate::outside::Places;
use crate::world::{World, of_session, with};
use longhaul_api::hooks::{self, Hook, HookPlan, HookTrigger};
use longhaul_api::{DetailLevel, NOTICE_WINDOW, ProcessScope};
use longhaul_engine::ports::ReaderCursors;
use longhaul_wire::api::{ListRequest, ProcessView};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn hook(moment: HookTrigger, command: &[&str]) -> Hook {
    let plan = HookPlan {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        directory: "/home/me".to_owned(),
        environment: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]),
        timeout: Duration::from_secs(30),
        ..HookPlan::default()
    };
    Hook::new(moment, plan).unwrap()
}

async fn start(world: &World, hooks: Vec<Hook>, places: &Arc<Places>) {
    let bookmarks: Arc<dyn ReaderCursors> = places.clone();
    hooks::start(&world.api, hooks, NOTICE_WINDOW, &bookmarks);
    world.clock.settle().await;
}

/// Returns the processes of all hook runs, oldest first.
async fn ran(world: &World) -> Vec<ProcessView> {
    let kind = Some("custom:hook".to_owned());
    let mut ask = ListRequest { all: Some(true), limit: Some(1_000), kind, ..ListRequest::default() };
    let mut processes = Vec::new();
    loop {
        let page = world.api.list(&ask).await.unwrap();
        processes.extend(page.processes);
        ask.cursor = page.cursor;
        if ask.cursor.is_none() {
            break;
        }
    }
    processes.reverse();
    processes
}

async fn commands(world: &World) -> Vec<String> {
    ran(world).await.into_iter().map(|process| process.command.join(" ")).collect()
}

#[tokio::test(start_paused = true)]
async fn hook_is_run_only_for_processes_in_its_scope() {
    let world = World::new().await;
    let scope = ProcessScope { projects: vec!["shop".to_owned()], ..ProcessScope::default() };
    let plan = HookPlan {
        command: ["exit", "0", "1", "{name}"].map(str::to_owned).to_vec(),
        directory: "/home/me".to_owned(),
        timeout: Duration::from_secs(30),
        scope,
        ..HookPlan::default()
    };
    start(&world, vec![Hook::new(HookTrigger::End, plan).unwrap()], &Arc::default()).await;
    for (name, project) in [("one", "shop"), ("two", "site"), ("three", "shop")] {
        let named = with(of_session("exit 0 10", "s"), "name", json!(name));
        let id = world.launch(with(named, "project", json!(project))).await;
        world.end(&id).await;
        world.pass(Duration::from_secs(1)).await;
    }
    assert_eq!(commands(&world).await, ["exit 0 1 one", "exit 0 1 three"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_is_run_for_each_end_and_never_for_those_of_hooks() {
    let world = World::new().await;
    let hooks = vec![
        hook(HookTrigger::Start, &["exit", "0", "1", "start", "{name}"]),
        hook(HookTrigger::End, &["exit", "1", "1", "end", "{name}", "{status}", "{exit_code}"]),
        hook(HookTrigger::Failure, &["exit", "0", "1", "failure", "{id}"]),
    ];
    start(&world, hooks, &Arc::default()).await;
    let good = world.launch(with(of_session("exit 0 10", "s"), "name", json!("good one"))).await;
    world.end(&good).await;
    let bad = world.launch(with(of_session("exit 7 10", "s"), "name", json!("bad"))).await;
    world.end(&bad).await;
    world.pass(Duration::from_secs(60)).await;
    let mut seen = commands(&world).await;
    seen.sort_unstable();
    let mut expected = vec![
        "exit 0 1 start good one".to_owned(),
        "exit 1 1 end good one completed 0".to_owned(),
        "exit 0 1 start bad".to_owned(),
        "exit 1 1 end bad failed 7".to_owned(),
        format!("exit 0 1 failure {bad}"),
    ];
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn the_start_hook_runs_before_the_end_hook_even_for_short_processes() {
    let world = World::new().await;
    let hooks = vec![
        hook(HookTrigger::End, &["exit", "0", "1", "end", "{name}"]),
        hook(HookTrigger::Failure, &["exit", "0", "1", "failure", "{name}"]),
        hook(HookTrigger::Start, &["exit", "0", "3000", "start", "{name}"]),
    ];
    start(&world, hooks, &Arc::default()).await;
    let names = ["a", "b", "c"];
    for name in names {
        world.launch(with(of_session("exit 1", "s"), "name", json!(name))).await;
    }
    world.pass(Duration::from_secs(60)).await;
    let ran = ran(&world).await;
    let find = |moment: &str, name: &str| {
        ran.iter().find(|hook| hook.command.ends_with(&[moment.to_owned(), name.to_owned()])).unwrap()
    };
    assert_eq!(ran.len(), 9);
    for name in names {
        let reported = find("start", name).completed_at.clone().unwrap();
        for moment in ["end", "failure"] {
            let begun = find(moment, name).started_at.clone().unwrap();
            assert!(reported <= begun, "{moment} of {name}: {begun} is before {reported}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_neither_loses_a_hook_nor_runs_it_twice() {
    let mut world = World::new().await;
    let places = Arc::<Places>::default();
    let hooks = || vec![hook(HookTrigger::End, &["exit", "0", "2000", "{name}"])];
    start(&world, hooks(), &places).await;
    for name in ["a", "b", "c"] {
        let id = world.launch(with(of_session("exit 0", "s"), "name", json!(name))).await;
        world.end(&id).await;
    }
    for _ in 0..8 {
        // In most rounds, a hook is running when the manager crashes.
        world.pass(Duration::from_millis(900)).await;
        world.crash().await;
        start(&world, hooks(), &places).await;
    }
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(commands(&world).await, ["exit 0 2000 a", "exit 0 2000 b", "exit 0 2000 c"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_is_stopped_and_delays_no_launch() {
    let world = World::new().await;
    start(&world, vec![hook(HookTrigger::End, &["run", "{name}"])], &Arc::default()).await;
    for name in ["a", "b"] {
        let id = world.launch(with(of_session("exit 0", "s"), "name", json!(name))).await;
        world.end(&id).await;
    }
    world.clock.settle().await;
    assert_eq!(commands(&world).await, ["run a"], "one at a time");
    world.pass(Duration::from_secs(31)).await;
    let hooks = ran(&world).await;
    assert_eq!((hooks.len(), hooks[0].status.as_str()), (2, "timeout"));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_calls_once_however_many_end() {
    let world = World::new().await;
    let hooks = vec![hook(HookTrigger::SessionComplete, &["exit", "0", "1", "{session}", "{status}"])];
    start(&world, hooks, &Arc::default()).await;
    for n in 0..20 {
        world.launch(of_session(&format!("exit {} {}", n % 2, 1_000 + n), "first")).await;
    }
    world.launch(of_session("exit 0 5000", "second")).await;
    world.launch(of_session("exit 0 6000", "second")).await;
    world.pass(Duration::from_secs(4)).await;
    assert_eq!(commands(&world).await, ["exit 0 1 first failed"]);
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(commands(&world).await, ["exit 0 1 first failed", "exit 0 1 second completed"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_cannot_be_launched_does_not_block_other_hooks() {
    let world = World::new().await;
    // With the long process name, the argument exceeds its maximum size and the launch is refused. With the short name,
    // the argument fits.
    let long = format!("{}{{name}}", "x".repeat(131_060));
    start(&world, vec![hook(HookTrigger::End, &["exit", "0", &long])], &Arc::default()).await;
    let refused = world.launch(with(of_session("exit 0", "s"), "name", json!("a name of some length"))).await;
    world.end(&refused).await;
    let taken = world.launch(with(of_session("exit 0", "s"), "name", json!("b"))).await;
    world.end(&taken).await;
    world.pass(Duration::from_secs(10)).await;
    assert_eq!(ran(&world).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_of_a_hook_calls_no_hook_and_completes_no_session() {
    let world = World::new().await;
    let hooks = vec![
        hook(HookTrigger::Start, &["exit", "0", "1", "start {name}"]),
        hook(HookTrigger::End, &["exit", "0", "20000", "end {name}"]),
        hook(HookTrigger::SessionComplete, &["exit", "0", "1", "session {session}"]),
    ];
    start(&world, hooks, &Arc::default()).await;
    let first = world.launch(with(of_session("exit 0 10", "s"), "name", json!("mine"))).await;
    world.end(&first).await;
    world.pass(Duration::from_secs(2)).await;
    let mut expected = vec!["exit 0 1 start mine", "exit 0 20000 end mine", "exit 0 1 session s"];
    assert_eq!(commands(&world).await, expected);
    let parent = ran(&world).await[1].id.clone();
    let child = with(of_session("exit 0 1000", "s"), "name", json!("child"));
    let child = world.launch(with(child, "parent_id", json!(parent))).await;
    let grandchild = with(of_session("exit 1 10", "s"), "name", json!("grandchild"));
    let grandchild = world.launch(with(grandchild, "parent_id", json!(child))).await;
    world.end(&grandchild).await;
    world.end(&child).await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(commands(&world).await, expected);
    let another = world.launch(with(of_session("exit 0 10", "s"), "name", json!("another"))).await;
    world.end(&another).await;
    world.pass(Duration::from_secs(60)).await;
    expected.extend(["exit 0 1 start another", "exit 0 20000 end another", "exit 0 1 session s"]);
    assert_eq!(commands(&world).await, expected, "other events are delivered as before");
}

#[tokio::test(start_paused = true)]
async fn hooks_are_listed_where_they_are_asked_for() {
    let world = World::new().await;
    start(&world, vec![hook(HookTrigger::Start, &["run"])], &Arc::default()).await;
    let mine = world.run("run").await;
    world.pass(Duration::from_secs(1)).await;
    let ids = async |request: ListRequest| {
        let processes = world.api.list(&request).await.unwrap().processes;
        processes.into_iter().map(|process| process.kind).collect::<Vec<_>>()
    };
    assert_eq!(ids(ListRequest::default()).await, ["custom"]);
    assert_eq!(ids(ListRequest { limit: Some(1), ..ListRequest::default() }).await, ["custom"]);
    assert_eq!(
        ids(ListRequest { all: Some(true), ..ListRequest::default() }).await,
        ["custom:hook", "custom"]
    );
    let of_type = ListRequest { kind: Some("custom:hook".to_owned()), ..ListRequest::default() };
    assert_eq!(ids(of_type).await, ["custom:hook"]);
    let not_of_type = |word: &str| ListRequest { not_type: Some(word.to_owned()), ..ListRequest::default() };
    assert_eq!(ids(not_of_type("server")).await, ["custom:hook", "custom"]);
    let refused = world.api.list(&not_of_type("x")).await.unwrap_err();
    assert_eq!(refused.problem().title, "\"x\" is not a valid not_type");
    assert_eq!(world.api.show("@last", DetailLevel::Records).await.unwrap().id, mine);
    assert_eq!(ran(&world).await[0].priority, 100);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_leaves_a_warning() {
    let world = World::new().await;
    let heard = Heard::default();
    let _kept = tracing::subscriber::set_default(heard.clone());
    start(&world, vec![hook(HookTrigger::End, &["exit", "5", "1"])], &Arc::default()).await;
    let id = world.run("exit 0").await;
    world.end(&id).await;
    world.pass(Duration::from_secs(5)).await;
    let lines = heard.0.lock().unwrap().clone();
    let line = lines.iter().find(|line| line.contains("a hook failed"));
    let line = line.unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(
        line.contains("on_end") && line.contains("failed") && line.contains("exited with code 5"),
        "{line}"
    );
}

/// Collects the log messages of a test.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Heard {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[derive(Default)]
struct Line(String);

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_ends_at_once_call_a_thousand_times_one_after_the_other() {
    let world = World::new().await;
    start(&world, vec![hook(HookTrigger::End, &["exit", "0", "10", "{id}"])], &Arc::default()).await;
    let mut ids = Vec::new();
    for _ in 0..1_000 {
        ids.push(world.run("exit 0 5000").await);
    }
    world.pass(Duration::from_millis(5_015)).await;
    assert!(ran(&world).await.len() <= 3, "the hooks wait in the log and have no processes yet");
    let others = world.run("exit 0").await;
    world.end(&others).await;
    world.pass(Duration::from_secs(60)).await;
    let mut wait_for_updates: Vec<String> =
        commands(&world).await.iter().map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(wait_for_updates.pop(), Some(others), "in the order of the log");
    ids.sort();
    wait_for_updates.sort();
    assert!(wait_for_updates == ids, "once each: {} of {}", wait_for_updates.len(), ids.len());
}

#[tokio::test(start_paused = true)]
async fn a_hook_whose_program_is_missing_fails_and_the_next_call_has_its_turn() {
    let world = World::new().await;
    let hooks = vec![
        hook(HookTrigger::End, &["missing", "{name}"]),
        hook(HookTrigger::Failure, &["exit", "0", "0", "{name}"]),
    ];
    start(&world, hooks, &Arc::default()).await;
    for name in ["a", "b"] {
        let id = world.launch(with(of_session("exit 1", "s"), "name", json!(name))).await;
        world.end(&id).await;
    }
    world.pass(Duration::from_secs(10)).await;
    let mut lines: Vec<String> = ran(&world)
        .await
        .into_iter()
        .map(|process| format!("{} {}", process.command.join(" "), process.status))
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        ["exit 0 0 a completed", "exit 0 0 b completed", "missing a failed", "missing b failed"],
        "the failure of a hook starts no hook"
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_without_parent_that_a_hook_starts_calls_the_hook_again() {
    let world = World::new().await;
    start(&world, vec![hook(HookTrigger::End, &["exit", "0", "100"])], &Arc::default()).await;
    let mut id = world.run("exit 0").await;
    for turn in 1..=20 {
        world.end(&id).await;
        world.pass(Duration::from_millis(10)).await;
        let live = ran(&world).await.into_iter().filter(|hook| hook.status == "running").count();
        assert!(live <= 1, "turn {turn}: {live}");
        // Launches a process without a parent, as a hook can do with `longhaul run --no-parent`.
        id = world.run("exit 0 5").await;
        world.pass(Duration::from_millis(100)).await;
    }
    world.pass(Duration::from_secs(10)).await;
    assert_eq!(ran(&world).await.len(), 21);
}
