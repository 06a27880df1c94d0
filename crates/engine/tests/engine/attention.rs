use crate::world::{World, command, percent, reported, seconds};
use longhaul_domain::{
    Action, AwakeTime, Capabilities, CommandSpec, Condition, Fact, ProcessId, SilencePolicy, Spec, Status,
    Stdin, Work,
};
use longhaul_engine::ports::{AttemptKey, Clock, EventLog, OutputSource, TreeSnapshot};
use longhaul_engine::{EngineError, Shutdown};
use std::collections::BTreeSet;
use std::time::Duration;

/// Returns the spec of a command whose standard input is a pipe.
pub(crate) fn piped(words: &str) -> Spec {
    adjusted(words, |command| command.stdin = Stdin::Pipe)
}

pub(crate) fn adjusted(words: &str, adjust: impl FnOnce(&mut CommandSpec)) -> Spec {
    let mut spec = command(words);
    if let Work::Command(command) = &mut spec.work {
        adjust(command);
    }
    spec
}

fn silent(words: &str, idle: Option<u64>, stall: Option<u64>) -> Spec {
    let silence = SilencePolicy { idle_after: idle.map(seconds), stall_after: stall.map(seconds) };
    Spec { silence, ..command(words) }
}

impl World {
    pub(crate) async fn key(&self, id: ProcessId) -> AttemptKey {
        AttemptKey { id, attempt: self.stored(id).await.process.attempt }
    }

    pub(crate) async fn says(&self, id: ProcessId, source: OutputSource, text: &str) {
        self.spawner.output().write(self.key(id).await, source, text.as_bytes());
        self.settle().await;
    }

    pub(crate) async fn holds(&self, id: ProcessId, condition: Condition) -> bool {
        self.stored(id).await.process.conditions.holds(condition)
    }

    /// Returns the names of the events of a process, each with its condition if the event has one.
    pub(crate) async fn told(&self, id: ProcessId) -> Vec<String> {
        let facts = self.facts(id).await;
        let words = facts.iter().map(|fact| {
            if let Fact::ConditionStarted { condition } = fact {
                format!("+{condition}")
            } else if let Fact::ConditionEnded { condition } = fact {
                format!("-{condition}")
            } else if let Fact::OutputMatched { pattern, line, .. } = fact {
                format!("{pattern}: {line}")
            } else {
                fact.name().to_owned()
            }
        });
        words.filter(|word| !["submitted", "claimed", "spawned"].contains(&word.as_str())).collect()
    }

    pub(crate) async fn facts(&self, id: ProcessId) -> Vec<Fact> {
        let page = self.store.read(None, 10_000, false).await.unwrap();
        page.events.into_iter().filter(|logged| logged.id == id).map(|logged| logged.event.fact).collect()
    }

    /// Returns the number of distinct times, from `since` on, at which a process tree was inspected.
    fn wake_ups(&self, since: AwakeTime) -> usize {
        let moments: BTreeSet<AwakeTime> =
            self.spawner.looked().into_iter().map(|(at, _)| at).filter(|at| *at > since).collect();
        moments.len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_waits_for_input_is_reported_within_two_seconds_until_it_gets_input() {
    let world = World::new().await;
    let id = world.launch_spec(piped("ask")).await;
    world.pass(seconds(2)).await;
    assert_eq!(world.told(id).await, ["+waiting_for_input"]);
    assert_eq!(world.status(id).await, Status::Running);
    world.engine.write_input(id, b"yes\n".to_vec(), false).await.unwrap();
    world.pass(Duration::from_millis(500)).await;
    assert_eq!(world.told(id).await, ["+waiting_for_input", "-waiting_for_input"]);
}

#[tokio::test(start_paused = true)]
async fn output_ends_the_wait_for_input_and_a_later_prompt_is_reported_within_two_seconds() {
    let world = World::new().await;
    let id = world.launch_spec(piped("ask")).await;
    world.pass(seconds(600)).await;
    let key = world.key(id).await;
    world.spawner.show(key, TreeSnapshot::default());
    world.says(id, OutputSource::Stdout, "working\n").await;
    assert!(!world.holds(id, Condition::WaitingForInput).await);
    world.pass(seconds(300)).await;
    world.says(id, OutputSource::Stdout, "Continue? ").await;
    world.spawner.show(key, TreeSnapshot { waits_for_input: true, ..TreeSnapshot::default() });
    world.pass(seconds(2)).await;
    assert!(world.holds(id, Condition::WaitingForInput).await);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_on_a_terminal_is_reported_within_two_seconds_after_the_last_output() {
    let world = World::new().await;
    let id = world.launch("run").await;
    let key = world.key(id).await;
    world.pass(Duration::from_millis(100)).await;
    for _ in 0..50 {
        world.says(id, OutputSource::Stdout, "busy\n").await;
        world.pass(Duration::from_millis(100)).await;
    }
    assert_eq!(world.spawner.looked(), [], "a command with output is not inspected");
    let asking = TreeSnapshot { waits_for_input: true, has_terminal: true, ..TreeSnapshot::default() };
    world.spawner.show(key, asking);
    world.pass(seconds(2)).await;
    assert_eq!(world.told(id).await, ["+waiting_for_input"]);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_on_a_terminal_that_is_opened_late_is_reported_within_a_minute() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(seconds(300)).await;
    let asking = TreeSnapshot { waits_for_input: true, has_terminal: true, ..TreeSnapshot::default() };
    world.spawner.show(world.key(id).await, asking);
    world.pass(seconds(62)).await;
    assert_eq!(world.told(id).await, ["+waiting_for_input"]);
}

#[tokio::test(start_paused = true)]
async fn twenty_sleepers_wake_the_engine_once_a_minute_at_most() {
    let world = World::with(|settings| settings.max_parallel = 0).await;
    for _ in 0..20 {
        world.launch("run").await;
        world.pass(Duration::from_millis(1_370)).await;
    }
    world.pass(seconds(180)).await;
    let (began, before) = (world.clock.awake(), world.spawner.looked().len());
    world.pass(seconds(600)).await;
    let wake_ups = world.wake_ups(began);
    assert!(wake_ups <= 11, "{wake_ups} in ten minutes");
    assert!(world.spawner.looked().len() >= before + 20, "all commands are inspected");
}

#[tokio::test(start_paused = true)]
async fn one_that_may_ask_is_looked_at_about_once_a_second() {
    let world = World::new().await;
    world.launch_spec(piped("run")).await;
    world.pass(seconds(60)).await;
    let began = world.clock.awake();
    world.pass(seconds(60)).await;
    let wake_ups = world.wake_ups(began);
    assert!((50..=80).contains(&wake_ups), "{wake_ups} in a minute");
}

#[tokio::test(start_paused = true)]
async fn silence_makes_it_idle_and_the_first_output_ends_that() {
    let world = World::new().await;
    let id = world.launch_spec(silent("run", Some(30), None)).await;
    world.pass(seconds(20)).await;
    world.says(id, OutputSource::Stderr, "still here\n").await;
    world.pass(seconds(29)).await;
    assert_eq!(world.told(id).await, [""; 0]);
    world.pass(seconds(2)).await;
    assert_eq!(world.told(id).await, ["+idle"]);
    world.pass(seconds(500)).await;
    world.says(id, OutputSource::Stdout, "again\n").await;
    assert_eq!(world.told(id).await, ["+idle", "-idle"]);
    world.pass(seconds(31)).await;
    assert_eq!(world.told(id).await, ["+idle", "-idle", "+idle"]);
    world.cancel(id).await;
    assert_eq!(world.end(id).await, Status::Cancelled);
    assert_eq!(world.stored(id).await.process.conditions.iter().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn silence_without_processor_time_is_a_stall_and_work_is_none() {
    let world = World::new().await;
    let calm = world.launch_spec(silent("run", None, Some(20))).await;
    let busy = world.launch_spec(silent("run", None, Some(20))).await;
    let key = world.key(busy).await;
    for second in 1..120_u64 {
        let cpu = Duration::from_millis(second * 20);
        world.spawner.show(key, TreeSnapshot { cpu, ..TreeSnapshot::default() });
        world.pass(seconds(1)).await;
        if second == 20 {
            assert_eq!(world.told(calm).await, [""; 0]);
        }
        if second == 23 {
            assert_eq!(world.told(calm).await, ["+stalled"]);
        }
    }
    assert_eq!(world.told(busy).await, [""; 0]);
    world.pass(seconds(120)).await;
    assert_eq!(world.told(busy).await, ["+stalled"]);
    world.says(busy, OutputSource::Stdout, "done\n").await;
    assert_eq!(world.told(busy).await, ["+stalled", "-stalled"]);
}

#[tokio::test(start_paused = true)]
async fn the_deployment_says_how_long_silence_may_last_where_a_launch_does_not() {
    let silence = SilencePolicy { idle_after: Some(seconds(10)), stall_after: None };
    let world = World::with(|settings| settings.silence = silence).await;
    let plain = world.launch("run").await;
    let never = world.launch_spec(silent("run", Some(0), None)).await;
    let later = world.launch_spec(silent("run", Some(40), None)).await;
    world.pass(seconds(15)).await;
    for (id, idle) in [(plain, true), (never, false), (later, false)] {
        assert_eq!(world.holds(id, Condition::Idle).await, idle);
    }
    world.pass(seconds(600)).await;
    assert!(!world.holds(never, Condition::Idle).await && world.holds(later, Condition::Idle).await);
}

#[tokio::test(start_paused = true)]
async fn reported_work_is_idle_while_it_does_not_report() {
    let world = World::new().await;
    let silence = SilencePolicy { idle_after: Some(seconds(10)), stall_after: Some(seconds(20)) };
    let id = world.launch_spec(Spec { silence, ..reported(|_| {}) }).await;
    world.pass(seconds(8)).await;
    world.ask(id, percent(10.0)).await.unwrap();
    world.pass(seconds(8)).await;
    assert_eq!(world.told(id).await, [""; 0]);
    world.pass(seconds(20)).await;
    assert_eq!(world.told(id).await, ["+idle", "+stalled"]);
    world.ask(id, percent(20.0)).await.unwrap();
    world.settle().await;
    assert_eq!(world.told(id).await, ["+idle", "+stalled", "-idle", "-stalled"]);
    world.pass(seconds(11)).await;
    world.ask(id, Action::Complete { result: None }).await.unwrap();
    world.pass(seconds(600)).await;
    assert_eq!(world.told(id).await.last().unwrap(), "ended");
}

#[tokio::test(start_paused = true)]
async fn a_paused_process_is_not_inspected_and_its_silence_counts_from_the_resume() {
    let world = World::new().await;
    let id = world.launch_spec(silent("run", Some(30), None)).await;
    world.pass(seconds(31)).await;
    world.ask(id, Action::Pause).await.unwrap();
    world.settle().await;
    let looked = world.spawner.looked().len();
    world.pass(seconds(3_600)).await;
    assert_eq!(world.spawner.looked().len(), looked);
    assert!(!world.holds(id, Condition::Idle).await);
    world.ask(id, Action::Resume).await.unwrap();
    world.pass(seconds(29)).await;
    assert!(!world.holds(id, Condition::Idle).await);
    world.pass(seconds(2)).await;
    assert!(world.holds(id, Condition::Idle).await);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_suspension_makes_no_process_idle() {
    let world = World::new().await;
    let id = world.launch_spec(silent("run", Some(30), None)).await;
    world.pass(seconds(10)).await;
    world.clock.suspend(seconds(3_600));
    world.pass(seconds(10)).await;
    assert!(!world.holds(id, Condition::Idle).await);
    world.pass(seconds(11)).await;
    assert!(world.holds(id, Condition::Idle).await);
}

#[tokio::test(start_paused = true)]
async fn the_next_manager_continues_the_conditions() {
    let mut world = World::new().await;
    let asks = world.launch_spec(piped("ask")).await;
    let idle = world.launch_spec(silent("run", Some(30), None)).await;
    let nearly = world.launch_spec(silent("run", Some(60), None)).await;
    world.says(nearly, OutputSource::Stdout, "x\n").await;
    world.pass(seconds(40)).await;
    world.crash().await;
    world.pass(seconds(1)).await;
    assert_eq!(world.told(asks).await, ["+waiting_for_input"]);
    assert_eq!(world.told(idle).await, ["+idle"]);
    assert_eq!(world.told(nearly).await, [""; 0]);
    world.pass(seconds(20)).await;
    assert_eq!(world.told(nearly).await, ["+idle"]);
    world.says(idle, OutputSource::Stdout, "x\n").await;
    assert_eq!(world.told(idle).await, ["+idle", "-idle"]);
    world.engine.write_input(asks, b"y".to_vec(), false).await.unwrap();
    world.pass(seconds(1)).await;
    assert_eq!(world.told(asks).await, ["+waiting_for_input", "-waiting_for_input"]);
}

#[tokio::test(start_paused = true)]
async fn the_next_manager_believes_the_report_of_a_command_about_its_input() {
    let mut world = World::new().await;
    let waits = world.launch("run").await;
    let works = world.launch_spec(piped("ask")).await;
    world.settle().await;
    world.engine.report_waiting_for_input(waits, true).await.unwrap();
    world.engine.report_waiting_for_input(works, false).await.unwrap();
    for _ in 0..2 {
        world.pass(seconds(60)).await;
        world.says(waits, OutputSource::Stdout, "x\n").await;
        world.pass(seconds(60)).await;
        assert_eq!(world.told(waits).await, ["+waiting_for_input"]);
        assert_eq!(
            world.told(works).await,
            [""; 0],
            "an inspection shows a wait for input, but the report of the command takes precedence"
        );
        world.crash().await;
    }
    world.engine.report_waiting_for_input(waits, false).await.unwrap();
    world.engine.report_waiting_for_input(works, true).await.unwrap();
    assert_eq!(world.told(waits).await, ["+waiting_for_input", "-waiting_for_input"]);
    assert_eq!(world.told(works).await, ["+waiting_for_input"]);
}

#[tokio::test(start_paused = true)]
async fn report_about_input_is_stored_before_it_is_acknowledged() {
    let mut world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    // The live stats were just written, so that the next write is due a second later.
    world.ask(id, percent(10.0)).await.unwrap();
    world.engine.report_waiting_for_input(id, true).await.unwrap();
    world.crash().await;
    world.pass(seconds(60)).await;
    assert_eq!(world.told(id).await, ["+waiting_for_input"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_command_of_an_earlier_manager_is_silent_from_its_resume_on() {
    let mut world = World::new().await;
    let id = world.launch_spec(silent("run", Some(30), None)).await;
    world.pass(seconds(10)).await;
    world.ask(id, Action::Pause).await.unwrap();
    world.pass(seconds(100)).await;
    world.crash().await;
    world.pass(seconds(100)).await;
    world.ask(id, Action::Resume).await.unwrap();
    world.pass(seconds(20)).await;
    assert_eq!(world.told(id).await, ["paused", "resumed"]);
    world.pass(seconds(12)).await;
    assert_eq!(world.told(id).await, ["paused", "resumed", "+idle"]);
}

#[tokio::test(start_paused = true)]
async fn after_the_end_of_the_engine_nothing_is_looked_at() {
    let world = World::new().await;
    world.launch_spec(piped("ask")).await;
    world.pass(seconds(2)).await;
    world.shut_down(Shutdown::Leave).await;
    let looked = world.spawner.looked().len();
    world.pass(seconds(60)).await;
    assert_eq!(world.spawner.looked().len(), looked);
}

#[tokio::test(start_paused = true)]
async fn a_spawner_without_eyes_is_never_asked_to_look_and_silence_counts_all_the_same() {
    let blind = Capabilities { inspection: false, input: false, ..Capabilities::ALL };
    let world = World::able(blind).await;
    for spec in [
        piped("ask"),
        adjusted("run", |command| command.ready_when = Some(longhaul_domain::ReadyWhen::Port(80))),
    ] {
        let refused = world.try_launch(spec).await;
        assert!(matches!(refused, Err(EngineError::Invalid { what: "launch", .. })), "{refused:?}");
    }
    let id = world.launch_spec(silent("run", Some(30), Some(40))).await;
    world.pass(seconds(60)).await;
    assert_eq!(world.told(id).await, ["+idle", "+stalled"]);
    assert_eq!(world.spawner.looked(), []);
}

#[tokio::test(start_paused = true)]
async fn a_look_shows_where_a_command_listens_and_how_long_it_is_silent() {
    let world = World::new().await;
    let id = world.launch("serve 8080").await;
    world.pass(seconds(3)).await;
    world.says(id, OutputSource::Stdout, "up\n").await;
    world.pass(seconds(7)).await;
    let look = world.engine.look(id).await.unwrap().unwrap();
    let ports: Vec<u16> = look.listening.unwrap().iter().map(|listening| listening.port).collect();
    assert_eq!((ports, look.silent_for), (vec![8080], seconds(7)));
    let stored = world.stored(id).await;
    assert_eq!(world.engine.silent_for(&stored).await, Some(seconds(7)));
    let work = world.launch_spec(reported(|_| {})).await;
    world.pass(seconds(2)).await;
    assert_eq!(world.engine.look(work).await.unwrap(), None);
    assert_eq!(world.engine.silent_for(&world.stored(work).await).await, Some(seconds(2)));
    world.cancel(id).await;
    world.end(id).await;
    assert_eq!(world.engine.look(id).await.unwrap(), None);
    assert_eq!(world.engine.silent_for(&world.stored(id).await).await, None);
}

#[tokio::test(start_paused = true)]
async fn input_to_a_paused_command_causes_no_inspection() {
    let world = World::new().await;
    let id = world.launch_spec(piped("ask")).await;
    world.pass(seconds(2)).await;
    world.ask(id, Action::Pause).await.unwrap();
    world.settle().await;
    let looked = world.spawner.looked().len();
    world.engine.write_input(id, b"x".to_vec(), false).await.unwrap();
    world.pass(seconds(5)).await;
    assert_eq!(world.spawner.looked().len(), looked);
    assert_eq!(world.told(id).await, ["+waiting_for_input", "paused"]);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_reports_is_not_idle_and_may_wait_for_input_all_the_same() {
    let world = World::new().await;
    let silence = SilencePolicy { idle_after: Some(seconds(10)), stall_after: None };
    let id = world.launch_spec(Spec { silence, ..piped("ask") }).await;
    world.pass(seconds(11)).await;
    world.ask(id, percent(10.0)).await.unwrap();
    world.pass(seconds(5)).await;
    assert_eq!(world.told(id).await, ["+waiting_for_input", "+idle", "-idle"]);
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_cannot_be_looked_at_for_a_while_is_looked_at_again() {
    let world = World::new().await;
    let id = world.launch_spec(piped("ask")).await;
    world.settle().await;
    world.spawner.blind(true);
    world.pass(seconds(60)).await;
    assert_eq!(world.told(id).await, [""; 0]);
    world.spawner.blind(false);
    world.pass(seconds(2)).await;
    assert_eq!(world.told(id).await, ["+waiting_for_input"]);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_answers_and_waits_again_is_reported_after_silence() {
    let world = World::new().await;
    let id = world.launch_spec(piped("cat")).await;
    world.pass(seconds(2)).await;
    world.engine.write_input(id, b"x\n".to_vec(), false).await.unwrap();
    world.pass(Duration::from_millis(500)).await;
    assert_eq!(world.told(id).await, ["+waiting_for_input", "-waiting_for_input"]);
    world.pass(Duration::from_millis(1_500)).await;
    assert_eq!(world.told(id).await.last().unwrap(), "+waiting_for_input");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_after_a_long_silence_is_reported_within_two_seconds() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(seconds(3_600)).await;
    let asking = TreeSnapshot { waits_for_input: true, has_terminal: true, ..TreeSnapshot::default() };
    world.spawner.show(world.key(id).await, asking);
    world.says(id, OutputSource::Stdout, "Password: ").await;
    world.pass(seconds(2)).await;
    assert_eq!(world.told(id).await, ["+waiting_for_input"]);
}
