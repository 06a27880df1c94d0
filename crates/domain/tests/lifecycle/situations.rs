//! The processes of the transition table, one for each row. Each process reaches its state only through inputs.

use crate::inputs::input_to;
use longhaul_domain::{
    AwakeTime, Capabilities, ChildrenPolicy, CommandSpec, DecisionContext, Lineage, LiveStats, Process,
    ProcessId, RandomBits, ReadyWhen, ReportedSpec, RetryPolicy, Spec, Timestamp, Work,
};
use std::sync::Arc;
use std::time::Duration;

/// A process with its live stats and the context for its next decision.
#[derive(Clone)]
pub(crate) struct Situation {
    pub(crate) process: Process,
    pub(crate) ctx: DecisionContext,
    pub(crate) live_stats: LiveStats,
}

/// Returns the name and process of every row, in the order of the table.
pub(crate) fn situations() -> Vec<(&'static str, Situation)> {
    let started = ["claimed", "spawned"];
    let running = || command().after(&started);
    let retrying = || stubborn().after(&["claimed", "spawned", "exited_1"]);
    let timing_out = |work: Situation| work.after(&started).later(60).after(&["tick"]);
    let interrupted = || running().after(&["supervisor_lost"]);
    vec![
        ("queued command", command()),
        ("queued report", queued_report()),
        ("delayed", delayed()),
        ("delayed, past its moment", delayed().later(60)),
        ("retrying", retrying()),
        ("retrying, past its moment", retrying().later(60)),
        ("starting", command().after(&["claimed"])),
        ("starting, never ran four times", unlucky().after(&["claimed"])),
        ("starting, with retries", stubborn().after(&["claimed"])),
        ("running", running()),
        ("running, past its timeout", running().later(60)),
        ("running, no pause here", running().without_pause()),
        ("running, with retries", stubborn().after(&started)),
        ("reported", report()),
        ("reported, with a slot", queued_report().after(&["claimed"])),
        ("paused", running().after(&["pause"]).later(3600)),
        ("paused, with retries", stubborn().after(&started).after(&["pause"])),
        ("stopping, before its start", command().after(&["claimed", "cancel"])),
        ("killing, before its start", command().after(&["claimed", "force"])),
        ("stopping", running().after(&["cancel"])),
        ("stopping, past its grace", running().after(&["cancel"]).later(5)),
        ("killing", running().after(&["force"])),
        ("killing, past its patience", running().after(&["force"]).later(2)),
        ("stuck", running().after(&["force"]).later(2).after(&["tick"])),
        ("stopping, for its timeout", timing_out(command())),
        ("stopping, for its timeout, with retries", timing_out(stubborn())),
        ("killing, for its timeout, with retries", timing_out(stubborn()).later(5).after(&["tick"])),
        ("withdrawing", report().after(&["cancel"])),
        ("withdrawing, past its grace", report().after(&["cancel"]).later(60)),
        ("completed", running().after(&["exited_0"])),
        ("failed", running().after(&["exited_1"])),
        ("timeout", running().after(&["exited_timeout"])),
        ("cancelled", running().after(&["cancel", "exited_1"])),
        ("interrupted", interrupted()),
        ("interrupted, exit known", interrupted().after(&["exited_1"])),
        ("interrupted with its node", running().after(&["orphaned"])),
        ("interrupted with its node, rest told", running().after(&["orphaned", "cancel"])),
        ("interrupted with its node, rest killed", running().after(&["orphaned", "force"])),
        (
            "interrupted with its node, exit known",
            running().after(&["orphaned", "cancel", "exited_cancelled"]),
        ),
        ("completed report", report().after(&["complete"])),
        ("failed report", report().after(&["fail"])),
        ("cancelled report", report().after(&["cancel", "fail"])),
        ("interrupted report", report().after(&["heartbeat_missed"])),
    ]
    .into_iter()
    .chain(moved_and_leaving())
    .chain(taking_along())
    .chain(awaiting())
    .chain(marked())
    .chain(noticed())
    .collect()
}

/// Returns the rows of processes that were moved in the queue or whose session has ended.
fn moved_and_leaving() -> Vec<(&'static str, Situation)> {
    let leaving = |work: Situation| work.after(&["end_session_grace"]);
    let past = |work: Situation| leaving(work).later(30);
    let running = || command().after(&["claimed", "spawned"]);
    vec![
        ("queued command, moved", command().after(&["prioritize"])),
        ("queued command, leaving", leaving(command())),
        ("queued command, past its leave", past(command())),
        ("delayed, past its leave", past(delayed())),
        ("retrying, past its leave", past(stubborn().after(&["claimed", "spawned", "exited_1"]))),
        ("starting, past its leave", past(command().after(&["claimed"]))),
        ("running, leaving", leaving(running())),
        ("running, past its leave", past(running())),
        ("running, past its leave and its timeout", past(running()).later(30)),
        ("reported, past its leave", past(report())),
        ("paused, past its leave", past(running().after(&["pause"]))),
        ("stopping, past its leave", past(running()).after(&["tick"])),
        ("lingering, past its leave", past(awaiting_command().after(&["claimed", "spawned", "exited_0"]))),
    ]
}

/// Returns the rows of processes whose end cancels their descendants.
fn taking_along() -> Vec<(&'static str, Situation)> {
    let along = |work: Situation| work.with_children(ChildrenPolicy::Cancel);
    let started = ["claimed", "spawned"];
    vec![
        ("starting, takes its children along", along(command()).after(&["claimed"])),
        ("running, takes its children along", along(command()).after(&started)),
        ("running, takes its children along, with retries", along(stubborn()).after(&started)),
        ("reported, takes its children along", along(report())),
        ("stopping, takes its children along", along(command()).after(&started).after(&["cancel"])),
        (
            "stopping, for its timeout, takes its children along",
            along(command()).after(&started).later(60).after(&["tick"]),
        ),
        ("withdrawing, takes its children along", along(report()).after(&["cancel"])),
    ]
}

/// Returns the rows of processes that wait for their descendants before they end.
fn awaiting() -> Vec<(&'static str, Situation)> {
    let command = awaiting_command;
    let report = || report().with_children(ChildrenPolicy::Wait);
    let started = ["claimed", "spawned"];
    let timing_out = || command().after(&started).later(60).after(&["tick"]);
    vec![
        ("starting, awaits its children", command().after(&["claimed"])),
        ("running, awaits its children", command().after(&started)),
        (
            "running, awaits its children, with retries",
            stubborn().with_children(ChildrenPolicy::Wait).after(&started),
        ),
        ("reported, awaits its children", report()),
        ("stopping, awaits its children", command().after(&started).after(&["cancel"])),
        ("stopping, for its timeout, awaits its children", timing_out()),
        ("withdrawing, awaits its children", report().after(&["cancel"])),
        ("lingering", command().after(&started).after(&["exited_0"])),
        ("lingering, failed", command().after(&started).after(&["exited_1"])),
        ("lingering, timed out", timing_out().after(&["exited_timeout"])),
        ("lingering, leaving", command().after(&started).after(&["exited_0", "end_session_grace"])),
        ("lingering report, completed", report().after(&["complete"])),
        ("lingering report, failed", report().after(&["fail"])),
    ]
}

/// Returns the rows of processes whose descendants were asked to end, because a cascade was started.
fn marked() -> Vec<(&'static str, Situation)> {
    let started = ["claimed", "spawned"];
    let timing_out = |work: Situation| work.after(&started).later(60).after(&["tick", "terminate"]);
    let lingering = || awaiting_command().after(&started).after(&["exited_0"]);
    vec![
        ("stopping, marked", command().after(&started).after(&["terminate"])),
        ("killing, marked", command().after(&started).after(&["terminate_now"])),
        ("stopping, for its timeout, marked", timing_out(command())),
        (
            "stopping, for its timeout, takes its children along, marked",
            timing_out(command().with_children(ChildrenPolicy::Cancel)),
        ),
        ("stopping, with retries, marked", timing_out(stubborn())),
        ("withdrawing, marked", report().after(&["terminate"])),
        ("lingering, marked", lingering().after(&["terminate"])),
        ("lingering, marked to be killed", lingering().after(&["terminate_now"])),
        ("cancelled, marked", command().after(&["terminate"])),
        ("cancelled, marked to be killed", command().after(&["terminate_now"])),
        (
            "completed, marked",
            command().with_children(ChildrenPolicy::Cancel).after(&started).after(&["exited_0"]),
        ),
        (
            "interrupted, marked",
            command().with_children(ChildrenPolicy::Cancel).after(&started).after(&["supervisor_lost"]),
        ),
        ("cancelled, its descendants too", command().after(&["terminate", "descendants_ended"])),
    ]
}

/// Returns the rows of processes with conditions.
fn noticed() -> Vec<(&'static str, Situation)> {
    let started = ["claimed", "spawned"];
    let asking = || asking_when_ready().after(&started);
    let all = || asking().after(&["ready", "idle", "stalled", "waits_for_input"]);
    vec![
        ("running, asks when it is ready", asking()),
        ("running, ready", asking().after(&["ready"])),
        ("running, ready, silent and waiting for input", all()),
        ("paused, silent before", all().after(&["pause"])),
        ("reported, silent", report().after(&["idle", "stalled"])),
        ("completed, silent before", all().after(&["exited_0"])),
    ]
}

/// Returns a command with a timeout of one minute and without retries.
pub(crate) fn command() -> Situation {
    Situation::of(command_spec())
}

/// Returns a command like [`command`], with retries after failures, timeouts and interruptions.
pub(crate) fn stubborn() -> Situation {
    Situation::of(Spec {
        retry: RetryPolicy {
            retries: 3,
            after_timeout: true,
            after_interruption: true,
            ..RetryPolicy::none()
        },
        ..command_spec()
    })
}

/// Returns reported work that starts immediately.
pub(crate) fn report() -> Situation {
    Situation::of(Spec::of(Work::Reported(ReportedSpec {
        heartbeat: Some(Duration::from_secs(30)),
        ..ReportedSpec::default()
    })))
}

/// Returns reported work that waits for a slot.
pub(crate) fn queued_report() -> Situation {
    Situation::of(Spec::of(Work::Reported(ReportedSpec { queued: true, ..ReportedSpec::default() })))
}

/// Returns the spec of [`command`].
pub(crate) fn command_spec() -> Spec {
    let mut command = CommandSpec::of("make", &["all"], "/src");
    command.timeout = Some(Duration::from_secs(60));
    Spec::of(Work::Command(Box::new(command)))
}

/// Returns a command with a readiness check.
pub(crate) fn asking_when_ready() -> Situation {
    let mut spec = command_spec();
    if let Work::Command(command) = &mut spec.work {
        command.ready_when = Some(ReadyWhen::Port(8080));
    }
    Situation::of(spec)
}

fn delayed() -> Situation {
    Situation::of(Spec { not_before: Some(START.plus(Duration::from_secs(60))), ..command_spec() })
}

/// Returns a command that ends only after its descendants have ended.
pub(crate) fn awaiting_command() -> Situation {
    command().with_children(ChildrenPolicy::Wait)
}

fn unlucky() -> Situation {
    (0..4).fold(command(), |life, _| life.after(&["claimed", "never_ran"]))
}

impl Situation {
    /// Returns a process of `spec` that was just submitted.
    pub(crate) fn of(spec: Spec) -> Self {
        let ctx = DecisionContext {
            now: START,
            awake: AwakeTime(1_000),
            chance: RandomBits(0),
            capabilities: Capabilities::ALL,
        };
        let id = ProcessId::new(uuid::Uuid::from_u128(1));
        let (process, _) = Process::submit(&ctx, id, Lineage::default(), Arc::new(spec));
        Self { process, ctx, live_stats: LiveStats::default() }
    }

    /// Applies the named inputs and returns the result. Panics if an input has no effect.
    pub(crate) fn after(mut self, inputs: &[&str]) -> Self {
        for name in inputs {
            let attempt = if *name == "claimed" { self.process.attempt.next() } else { self.process.attempt };
            let step = self
                .process
                .decide(&self.ctx, &self.live_stats, &input_to(&self.process, name, attempt))
                .unwrap();
            assert_ne!(step.events, [], "{name} does nothing to {:?}", self.process.state);
            self.process.evolve(&step.events);
        }
        self
    }

    /// Returns the same process `seconds` later. The machine was not suspended in between.
    pub(crate) fn later(mut self, seconds: u64) -> Self {
        let span = Duration::from_secs(seconds);
        self.ctx.now = self.ctx.now.plus(span);
        self.ctx.awake = self.ctx.awake.plus(span);
        self
    }

    /// Returns a new process with the same spec, except that its policy for children differs. The effects of earlier
    /// inputs are lost.
    pub(crate) fn with_children(self, children: ChildrenPolicy) -> Self {
        Self::of(Spec { children, ..Spec::clone(&self.process.spec) })
    }

    fn without_pause(mut self) -> Self {
        self.ctx.capabilities.pause = false;
        self
    }
}

const START: Timestamp = Timestamp(1_700_000_000_000);
