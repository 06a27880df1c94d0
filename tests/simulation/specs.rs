//! Random launch specs.

use longhaul_domain::{
    AgentDescriptor, ChildrenPolicy, CommandSpec, LaunchKey, Placement, Priority, ReadyWhen, ReportedSpec,
    RetryPolicy, SessionId, SessionPolicy, SilencePolicy, SlotKey, Spec, Stdin, Timestamp, WatchPattern,
    WatchSource, Work,
};
use longhaul_tests::Chance;
use std::time::Duration;

pub(crate) const KEYS: [&str; 3] = ["one", "two", "many"];
pub(crate) const SESSIONS: [&str; 2] = ["s1", "s2"];

/// Returns a random spec. Most specs are plain.
pub(crate) fn spec(chance: &mut Chance, now: Timestamp) -> Spec {
    let work = if chance.odds(6) { reported(chance) } else { command(chance) };
    let retries = if chance.odds(3) { u32::try_from(1 + chance.below(3)).unwrap_or(0) } else { 0 };
    Spec {
        key: if chance.odds(2) { chance.pick(&KEYS).and_then(|key| SlotKey::new(key).ok()) } else { None },
        session: session(chance),
        launch_key: if chance.odds(6) { launch_key(chance) } else { None },
        priority: priority(chance),
        not_before: chance.odds(6).then(|| now.plus(span(chance, 4_000))),
        placement: if chance.odds(2) { Placement::Anywhere } else { Placement::Here },
        retry: RetryPolicy {
            retries,
            first: span(chance, 1_000),
            after_interruption: chance.odds(2),
            after_timeout: chance.odds(2),
            ..RetryPolicy::none()
        },
        children: match chance.below(4) {
            0 => ChildrenPolicy::Cancel,
            1 => ChildrenPolicy::Wait,
            _ => ChildrenPolicy::Keep,
        },
        on_session_end: match chance.below(3) {
            0 => SessionPolicy::Cancel,
            1 => SessionPolicy::Grace(span(chance, 3_000)),
            _ => SessionPolicy::Keep,
        },
        agent: AgentDescriptor::default(),
        silence: silence(&work),
        ..Spec::of(work)
    }
}

/// Gives some processes a silence policy. The policy is derived from random numbers that were already drawn, so that
/// existing seeds keep their meaning.
fn silence(work: &Work) -> SilencePolicy {
    let drawn = match work {
        Work::Command(command) => command.stop.grace,
        Work::Reported(reported) => reported.grace,
    };
    let asks = drawn.as_millis() % 3 == 0;
    SilencePolicy { idle_after: asks.then_some(drawn / 4), stall_after: asks.then_some(drawn / 2) }
}

/// Gives some commands monitoring options, derived from a random number that was already drawn.
fn curious(command: &mut CommandSpec, drawn: u64) {
    if command.program == "run" && drawn.is_multiple_of(2) {
        let words = [("ask", vec![]), ("serve", vec!["80".to_owned(), drawn.to_string()])];
        if let Some((program, args)) = words.get(usize::from(drawn.is_multiple_of(4))).cloned() {
            (command.program, command.args) = (program.to_owned(), args);
        }
    }
    if command.program == "exit" && drawn.is_multiple_of(5) {
        command.program = "echo".to_owned();
    }
    command.stdin = if drawn % 4 < 2 { Stdin::Pipe } else { Stdin::Null };
    command.ready_when = match drawn % 7 {
        0..3 => Some(ReadyWhen::Port(80)),
        3 => Some(ReadyWhen::Log { pattern: "[0-9]".to_owned() }),
        4 => Some(ReadyWhen::Http { url: "http://127.0.0.1".to_owned() }),
        _ => None,
    };
    if drawn.is_multiple_of(2) {
        let (name, pattern) = ("digits".to_owned(), "[0-9]+".to_owned());
        command.watch.push(WatchPattern { name, pattern, source: WatchSource::Both });
    }
}

pub(crate) fn session(chance: &mut Chance) -> Option<SessionId> {
    if chance.odds(3) {
        chance.pick(&SESSIONS).and_then(|session| SessionId::new(session).ok())
    } else {
        None
    }
}

pub(crate) fn priority(chance: &mut Chance) -> Priority {
    Priority::new(i64::try_from(chance.below(5)).unwrap_or(0) - 2).unwrap_or_default()
}

pub(crate) fn span(chance: &mut Chance, below: u64) -> Duration {
    Duration::from_millis(chance.below(below))
}

fn launch_key(chance: &mut Chance) -> Option<LaunchKey> {
    LaunchKey::new(&format!("key-{}", chance.below(4))).ok()
}

fn reported(chance: &mut Chance) -> Work {
    Work::Reported(ReportedSpec {
        queued: chance.odds(2),
        heartbeat: chance.odds(3).then(|| Duration::from_millis(500 + chance.below(5_000))),
        grace: span(chance, 5_000),
        ..ReportedSpec::default()
    })
}

/// Returns a random command. Its program and arguments are the script of the simulated child process.
fn command(chance: &mut Chance) -> Work {
    let drawn = chance.below(3_000);
    let moment = drawn.to_string();
    let code = chance.below(3).to_string();
    let words: Vec<&str> = match chance.below(12) {
        0 => vec!["run"],
        1 => vec!["stubborn"],
        2 => vec!["lost", &moment],
        3 => vec!["missing"],
        4 => vec!["never"],
        5 => vec!["slow", &moment],
        6 | 7 => vec!["sleep", &moment],
        _ => vec!["exit", &code, &moment],
    };
    let (program, args) =
        words.split_first().map_or(("run", [].as_slice()), |(program, args)| (*program, args));
    let mut command = CommandSpec::of(program, args, "/");
    command.timeout = chance.odds(5).then(|| Duration::from_millis(200 + chance.below(3_000)));
    command.stop.grace = span(chance, 5_000);
    curious(&mut command, drawn);
    Work::Command(Box::new(command))
}
