//! One life for each row of the table, led there by inputs alone.

use crate::inputs::input;
use longhaul_domain::{
    Awake, Capabilities, Chance, CommandSpec, Context, Lineage, Process, ProcessId, ReportedSpec,
    RetryPolicy, Spec, Timestamp, Vitals, Work,
};
use std::sync::Arc;
use std::time::Duration;

/// A process and the world that it is looked at from.
#[derive(Clone)]
pub(crate) struct Situation {
    pub(crate) process: Process,
    pub(crate) ctx: Context,
    pub(crate) vitals: Vitals,
}

/// Every row of the table, in its order.
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
        ("completed report", report().after(&["complete"])),
        ("failed report", report().after(&["fail"])),
        ("cancelled report", report().after(&["cancel", "fail"])),
        ("interrupted report", report().after(&["heartbeat_missed"])),
    ]
}

/// A command with a timeout of a minute and without retries.
pub(crate) fn command() -> Situation {
    Situation::of(command_spec())
}

/// The same with retries after everything that allows them.
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

/// Reported work that starts at once.
pub(crate) fn report() -> Situation {
    Situation::of(Spec::of(Work::Reported(ReportedSpec {
        heartbeat: Some(Duration::from_secs(30)),
        ..ReportedSpec::default()
    })))
}

/// Reported work that waits for a slot.
pub(crate) fn queued_report() -> Situation {
    Situation::of(Spec::of(Work::Reported(ReportedSpec { queued: true, ..ReportedSpec::default() })))
}

/// A command like [`command`], before it is submitted.
pub(crate) fn command_spec() -> Spec {
    let mut command = CommandSpec::of("make", &["all"], "/src");
    command.timeout = Some(Duration::from_secs(60));
    Spec::of(Work::Command(Box::new(command)))
}

fn delayed() -> Situation {
    Situation::of(Spec { not_before: Some(START.plus(Duration::from_secs(60))), ..command_spec() })
}

fn unlucky() -> Situation {
    (0..4).fold(command(), |life, _| life.after(&["claimed", "never_ran"]))
}

impl Situation {
    /// A process that was just submitted.
    pub(crate) fn of(spec: Spec) -> Self {
        let ctx =
            Context { now: START, awake: Awake(1_000), chance: Chance(0), capabilities: Capabilities::ALL };
        let id = ProcessId::new(uuid::Uuid::from_u128(1));
        let (process, _) = Process::submit(&ctx, id, Lineage::default(), Arc::new(spec));
        Self { process, ctx, vitals: Vitals::default() }
    }

    /// What becomes of it after these inputs; each of them must make something true.
    pub(crate) fn after(mut self, inputs: &[&str]) -> Self {
        for name in inputs {
            let attempt = if *name == "claimed" { self.process.attempt.next() } else { self.process.attempt };
            let step = self.process.decide(&self.ctx, &self.vitals, &input(name, attempt)).unwrap();
            assert_ne!(step.events, [], "{name} does nothing to {:?}", self.process.state);
            self.process.evolve(&step.events);
        }
        self
    }

    /// The same after so many seconds, all of them awake.
    pub(crate) fn later(mut self, seconds: u64) -> Self {
        let span = Duration::from_secs(seconds);
        self.ctx.now = self.ctx.now.plus(span);
        self.ctx.awake = self.ctx.awake.plus(span);
        self
    }

    fn without_pause(mut self) -> Self {
        self.ctx.capabilities.pause = false;
        self
    }
}

const START: Timestamp = Timestamp(1_700_000_000_000);
