//! The exact text of one record per state: what was written once must be readable for ever.

use crate::record::{decode, encode_life, encode_spec};
use longhaul_domain::*;
use std::time::Duration;

const SPEC: &str = include_str!("golden/spec.json");
const LIVES: &str = include_str!("golden/lives.jsonl");

#[test]
fn the_records_of_every_state_are_written_as_they_always_were() {
    assert_eq!(encode_spec(&running()), SPEC.trim_end());
    let written: Vec<String> = one_per_state().iter().map(encode_life).collect();
    let kept: Vec<&str> = LIVES.lines().collect();
    assert_eq!(written, kept, "written now:\n{}", written.join("\n"));
}

#[test]
fn the_records_of_format_1_are_read_as_they_were_meant() {
    let processes = one_per_state();
    assert_eq!(LIVES.lines().count(), processes.len());
    for (life, process) in LIVES.lines().zip(processes) {
        assert_eq!(decode(SPEC.trim_end(), life), Ok(process));
    }
}

pub(super) fn running() -> Process {
    with(State::Running { execution: execution(), timeout_at: Some(Awake(5_000)) })
}

pub(super) fn one_per_state() -> Vec<Process> {
    let ended = |ending, late| {
        State::Ended(Box::new(Ended {
            at: Timestamp(9_000),
            ending,
            vitals: Vitals { progress: Some(Progress::DONE), ..Vitals::default() },
            late,
        }))
    };
    let stopping = |urgency| State::Stopping {
        execution: Some(execution()),
        cause: StopCause::User,
        since: Timestamp(6_000),
        urgency,
    };
    [
        State::Pending(Pending::Queued),
        State::Pending(Pending::Delayed { until: Timestamp(2_000) }),
        State::Pending(Pending::Retrying {
            at: Timestamp(3_000),
            after: Box::new(Ending::Failed { failure: Failure::Exit(exit()) }),
        }),
        State::Starting { since: Timestamp(1_500) },
        running().state,
        State::Reported { slot: true },
        State::Paused {
            execution: execution(),
            since: Timestamp(4_000),
            timeout_left: Some(Duration::from_millis(1_500)),
        },
        stopping(Urgency::Asked { kill_at: Awake(7_000) }),
        stopping(Urgency::Killing { stuck_at: Awake(8_000) }),
        stopping(Urgency::Stuck),
        State::Withdrawing { slot: false, cause: StopCause::Parent, until: Timestamp(66_000) },
        ended(
            Ending::Completed { exit: None, result: JsonText::checked("{\"rows\":3}".to_owned()).ok() },
            None,
        ),
        ended(
            Ending::Failed {
                failure: Failure::Start(StartFailure {
                    stage: StartStage::Program,
                    errno: Some(2),
                    detail: "no program \"mkae\" in PATH; did you mean make?".to_owned(),
                }),
            },
            None,
        ),
        ended(Ending::Timeout { exit: Some(exit()) }, None),
        ended(Ending::Cancelled { by: StopCause::Session, exit: Some(exit()) }, None),
        ended(
            Ending::Interrupted { why: Interruption::Reboot },
            Some(LateExit { attempt: AttemptNo(2), exit: exit() }),
        ),
    ]
    .map(with)
    .into()
}

fn with(state: State) -> Process {
    let mut command = CommandSpec::of("make", &["-j2", "check"], "/src");
    command.environment.declared = vec![("LANG".to_owned(), "C".to_owned())];
    command.timeout = Some(Duration::from_secs(600));
    let mut spec = Spec::of(Work::Command(Box::new(command)));
    spec.kind = ProcessType::Build;
    spec.key = SlotKey::new("builds").ok();
    spec.session = SessionId::new("s-1").ok();
    Process {
        id: ProcessId::new(uuid::Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef)),
        spec: spec.into(),
        lineage: Lineage { ancestors: vec![ProcessId::new(uuid::Uuid::from_u128(1))], restarted_from: None },
        node: NodeId::new("laptop").ok(),
        attempt: AttemptNo(2),
        retries: 1,
        never_ran: 0,
        queued_at: Timestamp(1_000),
        started_at: Some(Timestamp(1_600)),
        state,
    }
}

fn execution() -> Execution {
    Execution { started_at: Timestamp(1_600), pid: Some(4_711), containment: Some(Containment::Cgroup) }
}

fn exit() -> Exit {
    Exit {
        status: ExitStatus::Signal { number: 15, core: false },
        at: Timestamp(8_900),
        stopped: Some(StopCause::User),
        last_signal: Some(15),
        swept: 1,
        leftovers: 0,
        usage: Usage { user: Duration::from_micros(1_250_500), system: Duration::ZERO, peak_memory: 4_096 },
        output_bytes: 42,
        dropped_bytes: 0,
    }
}
