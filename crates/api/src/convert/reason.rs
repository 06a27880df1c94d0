//! Explains the state of a process in one sentence.

use crate::convert::agent_doubt;
use crate::convert::moment::{rfc3339, span};
use crate::convert::process::BlockedBy;
use longhaul_domain::{
    Ending, ExceededLimit, Exit, ExitStatus, Failure, Interruption, NodeId, Pending, Placement, Process,
    QueueHold, SlotKey, State, StopCause, StopPhase, Timestamp,
};

/// Explains the state of a process in one sentence. Returns `None` for a process that runs normally. `members` are the
/// pids of the live members of its process tree, if these pids are known.
pub(super) fn reason(
    process: &Process,
    now: Timestamp,
    hindrance: &BlockedBy,
    members: &[u32],
) -> Option<String> {
    let said = process.reported.error.as_deref();
    match &process.state {
        State::Pending(pending) => Some(of_pending(process, pending, now, hindrance)),
        State::Starting { .. } => Some("the command is being started".to_owned()),
        State::Running { .. } | State::Reported { .. } => process.session_deadline().map(|cancel_at| {
            format!("the session has ended; the process will be cancelled at {}", rfc3339(cancel_at))
        }),
        State::Paused { since, .. } => Some(format!("paused for {}", span(now.since(*since)))),
        State::Stopping { cause, phase, .. } => Some(match phase {
            StopPhase::Requested { .. } => {
                format!(
                    "received a stop request {}; remaining processes are killed after the grace period",
                    by(*cause)
                )
            }
            StopPhase::Killing { .. } => format!("the process tree is being killed, {}", by(*cause)),
            StopPhase::Stuck => of_survivors(members),
        }),
        State::CancelRequested { cause, until, .. } => Some(format!(
            "its reporter was asked to end the work {} and has until {}",
            by(*cause),
            rfc3339(*until)
        )),
        State::AwaitingChildren(lingering) => Some(format!(
            "its own work has ended ({}); the process waits for its children",
            of_ending(&lingering.ending)
        )),
        State::Ended(ended) => Some(match &ended.ending {
            Ending::Timeout { exit } => {
                let limit = process.spec.command().and_then(|command| command.timeout);
                let over = limit.map_or_else(
                    || "the timeout was exceeded".to_owned(),
                    |limit| format!("the process ran longer than its timeout of {}", span(limit)),
                );
                format!("{over}{}", and_then(exit.as_ref(), said))
            }
            Ending::Completed { .. } => {
                let doubt =
                    agent_doubt::doubt(process).map_or_else(String::new, |doubt| format!(", but {doubt}"));
                format!("{}{doubt}", of_ending(&ended.ending))
            }
            other @ (Ending::Failed { .. } | Ending::Cancelled { .. } | Ending::Interrupted { .. }) => {
                of_ending_with(other, said)
            }
        }),
    }
}

/// Explains that part of a process tree survived SIGKILL, and lists the pids if they are known.
fn of_survivors(members: &[u32]) -> String {
    let reported = "killed, but some processes of the tree are still running";
    match members {
        [] => reported.to_owned(),
        [pid] => format!("{reported}: process {pid}"),
        pids => {
            let pids = pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("{reported}: processes {pids}")
        }
    }
}

/// Explains in one sentence how a process ended.
pub(crate) fn of_ending(ending: &Ending) -> String {
    of_ending_with(ending, None)
}

/// Explains in one sentence how a process ended. `said` is the error that the command itself reported. A reported error
/// is more reliable than an error that longhaul found in the output.
fn of_ending_with(ending: &Ending, said: Option<&str>) -> String {
    match ending {
        Ending::Completed { exit: Some(exit), .. } => of_exit(exit, None),
        Ending::Completed { exit: None, .. } => "its reporter reported that the work is done".to_owned(),
        Ending::Failed { failure } => match failure {
            Failure::Exit(exit) => of_exit(exit, said),
            Failure::Start(failure) => format!("could not be started: {}", failure.detail),
            Failure::NeverRan { times } => format!("{times} attempts in a row could not be started"),
            Failure::Reported { error } => error.clone(),
        },
        Ending::Timeout { exit } => format!("the timeout was exceeded{}", and_then(exit.as_ref(), said)),
        Ending::Cancelled { by: cause, exit: Some(exit) } => {
            format!("cancelled {}, {}", by(*cause), of_exit(exit, said))
        }
        Ending::Cancelled { by: cause, exit: None } => format!("cancelled {}", by(*cause)),
        Ending::Interrupted { why } => of_interruption(why),
    }
}

fn of_pending(process: &Process, pending: &Pending, now: Timestamp, hindrance: &BlockedBy) -> String {
    match (pending, &process.spec.key) {
        (Pending::Queued, key) => match (hindrance, key) {
            (BlockedBy::NoNode { draining }, _) => nowhere(&process.spec.placement, draining),
            (BlockedBy::Held(hold), Some(key)) => of_hold(key, hold),
            (BlockedBy::Settling { until }, _) => of_loss(*until, now),
            (BlockedBy::None, Some(key)) => format!("waits for a slot of the key {key}"),
            (BlockedBy::None | BlockedBy::Held(_), None) => {
                "waits because its node runs the maximum number of processes".to_owned()
            }
        },
        (Pending::Delayed { until }, _) => format!("waits until {}", rfc3339(*until)),
        (Pending::Retrying { at, after }, _) => format!(
            "retry {} of {} in {} after: {}",
            process.retries,
            process.spec.retry.retries,
            span(at.since(now)),
            of_ending_with(after, process.reported.error.as_deref())
        ),
    }
}

/// Explains in one sentence that a queue is on hold.
pub(super) fn of_hold(key: &SlotKey, hold: &QueueHold) -> String {
    let since = rfc3339(hold.since);
    match &hold.by {
        Some(by) => format!("{by} put the queue of the key {key} on hold at {since}"),
        None => format!("the queue of the key {key} is on hold since {since}"),
    }
}

/// Explains that no process starts until the data that the store has lost is restored.
pub(super) fn of_loss(until: Timestamp, now: Timestamp) -> String {
    format!(
        "the store has lost data, which is being restored: no process starts for {}",
        span(until.since(now))
    )
}

/// Explains that no available node may run a process. `draining` contains the nodes that fit the placement but are
/// draining.
pub(super) fn nowhere(placement: &Placement, draining: &[NodeId]) -> String {
    match draining {
        [] => {}
        [node] => return format!("only the node {node} may run the process, and it is draining"),
        nodes => {
            let nodes = nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return format!("only the nodes {nodes} may run the process, and they are draining");
        }
    }
    match placement {
        Placement::Node(node) => format!("only the node {node} may run the process, and it is absent"),
        Placement::Labels(_) => format!("no node has all required labels: {}", place(placement)),
        Placement::Here | Placement::Anywhere => "no node that may run the process is present".to_owned(),
    }
}

/// Returns the text form of a placement.
pub(super) fn place(placement: &Placement) -> String {
    match placement {
        Placement::Here => "here".to_owned(),
        Placement::Node(node) => node.to_string(),
        Placement::Labels(labels) => labels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Placement::Anywhere => "anywhere".to_owned(),
    }
}

/// Describes the exit of a command. If a resource limit caused the exit, the limit comes before the exit code or
/// signal. The first error in the output comes last.
fn of_exit(exit: &Exit, said: Option<&str>) -> String {
    let status = of_status(exit.status);
    let ended = match (exit.limit, exit.status) {
        (None, _) => status,
        (Some(ExceededLimit::Memory), ExitStatus::Signal { .. }) => {
            format!("killed because memory was full; {status}")
        }
        (Some(ExceededLimit::Memory), ExitStatus::Code(_)) => {
            format!("one process of the tree was killed because memory was full; {status}")
        }
        (Some(ExceededLimit::Cpu), _) => format!("the CPU time limit was exceeded; {status}"),
        (Some(ExceededLimit::FileSize), _) => {
            format!("the file size limit was exceeded; {status}")
        }
    };
    match said.or_else(|| exit.first_error.as_ref().map(|error| error.message.as_str())) {
        Some(error) => format!("{ended}: {error}"),
        None => ended,
    }
}

fn of_status(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exited with code {code}"),
        ExitStatus::Signal { number, core } => {
            let dumped = if core { ", core dumped" } else { "" };
            match signal_name(number) {
                Some(name) => format!("killed by signal {number} ({name}){dumped}"),
                None => format!("killed by signal {number}{dumped}"),
            }
        }
    }
}

fn and_then(exit: Option<&Exit>, said: Option<&str>) -> String {
    exit.map_or_else(String::new, |exit| format!("; {}", of_exit(exit, said)))
}

fn of_interruption(why: &Interruption) -> String {
    match why {
        Interruption::Reboot => "the machine was restarted while the process ran".to_owned(),
        Interruption::SupervisorKilled { evidence, .. } => {
            format!("the supervisor was killed before it recorded the end: {evidence}")
        }
        Interruption::NodeGone => "the node was lost and did not return".to_owned(),
        Interruption::HeartbeatMissed { last } => {
            format!("its reporter sent no heartbeat since {}", rfc3339(*last))
        }
        Interruption::RecordLost { found } => format!("the end of the process is unknown: {found}"),
    }
}

const fn by(cause: StopCause) -> &'static str {
    match cause {
        StopCause::User => "by request",
        StopCause::Timeout => "because the timeout was exceeded",
        StopCause::Parent => "with its parent",
        StopCause::Session => "with its session",
        StopCause::Shutdown => "with the manager",
        StopCause::Limit => "because of a limit",
    }
}

const fn signal_name(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        5 => "TRAP",
        6 => "ABRT",
        7 => "BUS",
        8 => "FPE",
        9 => "KILL",
        10 => "USR1",
        11 => "SEGV",
        12 => "USR2",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        24 => "XCPU",
        25 => "XFSZ",
        31 => "SYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{
        AgentOutputFormat, AwakeTime, Capabilities, CommandSpec, DecisionContext, FirstError, Input, Lineage,
        Observation, ProcessId, RandomBits, RunnerChoice, Spec, Status, Work,
    };
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn every_ending_has_a_reason() {
        let said = [
            (Ending::Completed { exit: None, result: None }, "its reporter reported that the work is done"),
            (Ending::Failed { failure: Failure::Exit(exit(code(7))) }, "exited with code 7"),
            (Ending::Failed { failure: Failure::Exit(exit(signal(11))) }, "killed by signal 11 (SEGV)"),
            (Ending::Failed { failure: Failure::Exit(exit(signal(40))) }, "killed by signal 40"),
            (
                Ending::Failed { failure: Failure::NeverRan { times: 5 } },
                "5 attempts in a row could not be started",
            ),
            (Ending::Cancelled { by: StopCause::User, exit: None }, "cancelled by request"),
            (
                Ending::Cancelled { by: StopCause::Parent, exit: Some(exit(signal(9))) },
                "cancelled with its parent, killed by signal 9 (KILL)",
            ),
            (
                Ending::Interrupted { why: Interruption::Reboot },
                "the machine was restarted while the process ran",
            ),
            (
                Ending::Interrupted {
                    why: Interruption::SupervisorKilled { evidence: "signal 9".into(), unverified: false },
                },
                "the supervisor was killed before it recorded the end: signal 9",
            ),
            (
                Ending::Interrupted { why: Interruption::HeartbeatMissed { last: Timestamp(0) } },
                "its reporter sent no heartbeat since 1970-01-01T00:00:00.000Z",
            ),
        ];
        for (ending, words) in said {
            assert_eq!(of_ending(&ending), words);
        }
    }

    #[test]
    fn timeout_names_its_limit_and_the_signal() {
        let mut process = running();
        let exited = Observation::Exited {
            attempt: process.attempt,
            exit: Exit { stopped: Some(StopCause::Timeout), ..exit(signal(15)) },
        };
        see(&mut process, exited, 61_000);
        let said = reason(&process, Timestamp(61_000), &BlockedBy::None, &[]).unwrap();
        assert_eq!(said, "the process ran longer than its timeout of 1 min; killed by signal 15 (TERM)");
    }

    #[test]
    fn error_that_the_command_reported_replaces_the_error_found_in_the_output() {
        let ended = |cause| {
            let mut process = running();
            process.reported.error = Some("the quota is used up".to_owned());
            let first_error = FirstError {
                kind: "exception".to_owned(),
                message: "guess".to_owned(),
                file: None,
                line: None,
                column: None,
                has_place: false,
                port_holder: None,
                on_stdout: false,
                offset: 0,
                detail: None,
            };
            let exit = Exit { stopped: cause, first_error: Some(Box::new(first_error)), ..exit(code(3)) };
            let attempt = process.attempt;
            see(&mut process, Observation::Exited { attempt, exit }, 61_000);
            reason(&process, Timestamp(61_000), &BlockedBy::None, &[]).unwrap()
        };
        for (cause, words) in [
            (None, "exited with code 3: the quota is used up"),
            (Some(StopCause::Timeout), "exited with code 3: the quota is used up"),
        ] {
            let said = ended(cause);
            assert!(said.ends_with(words) && !said.contains("guess"), "{said}");
        }
    }

    #[test]
    fn success_without_a_result_of_the_agent_is_doubted() {
        let ended = |output, error: Option<&str>| {
            let mut process = running();
            let mut spec = process.spec.as_ref().clone();
            let mut command = spec.command().unwrap().clone();
            command.runner = Some(RunnerChoice { name: "agent".to_owned(), output });
            spec.work = Work::Command(Box::new(command));
            process.spec = Arc::new(spec);
            process.reported.error = error.map(str::to_owned);
            let attempt = process.attempt;
            see(&mut process, Observation::Exited { attempt, exit: exit(code(0)) }, 61_000);
            assert_eq!(process.status(), Status::Completed);
            reason(&process, Timestamp(61_000), &BlockedBy::None, &[]).unwrap()
        };
        assert_eq!(
            ended(AgentOutputFormat::Claude, None),
            "exited with code 0, but longhaul found no result in the format claude in the output of the agent"
        );
        assert_eq!(
            ended(AgentOutputFormat::Claude, Some("API Error: 429")),
            "exited with code 0, but the agent reported an error: API Error: 429"
        );
        assert_eq!(ended(AgentOutputFormat::Plain, None), "exited with code 0");
    }

    #[test]
    fn exceeded_limit_is_named_as_such() {
        let ended_by = |limit, status| of_exit(&Exit { limit: Some(limit), ..exit(status) }, None);
        let said = [
            (ExceededLimit::Memory, signal(9), "killed because memory was full; killed by signal 9 (KILL)"),
            (
                ExceededLimit::Memory,
                code(137),
                "one process of the tree was killed because memory was full; exited with code 137",
            ),
            (ExceededLimit::Cpu, signal(24), "the CPU time limit was exceeded; killed by signal 24 (XCPU)"),
            (
                ExceededLimit::FileSize,
                signal(25),
                "the file size limit was exceeded; killed by signal 25 (XFSZ)",
            ),
        ];
        for (limit, status, words) in said {
            assert_eq!(ended_by(limit, status), words);
        }
    }

    #[test]
    fn draining_nodes_are_named_and_not_called_absent() {
        let node = |name: &str| name.parse::<NodeId>().unwrap();
        let pinned = Placement::Node(node("a"));
        assert_eq!(nowhere(&pinned, &[]), "only the node a may run the process, and it is absent");
        assert_eq!(nowhere(&pinned, &[node("a")]), "only the node a may run the process, and it is draining");
        assert_eq!(
            nowhere(&Placement::Anywhere, &[node("a"), node("b")]),
            "only the nodes a, b may run the process, and they are draining"
        );
    }

    #[test]
    fn running_process_has_no_reason() {
        assert_eq!(reason(&running(), Timestamp(1_000), &BlockedBy::None, &[]), None);
    }

    fn running() -> Process {
        let mut command = CommandSpec::of("work", &[], "/");
        command.timeout = Some(Duration::from_secs(60));
        let spec = Arc::new(Spec::of(Work::Command(Box::new(command))));
        let id: ProcessId = "3f2a9c1b-0000-4000-8000-000000000000".parse().unwrap();
        let (mut process, _) = Process::submit(&context(0), id, Lineage::default(), spec);
        let attempt = process.attempt.next();
        see(&mut process, Observation::Claimed { attempt, node: "here".parse().unwrap() }, 0);
        let spawned = Observation::Spawned { attempt, pid: Some(1), containment: None, at: Timestamp(0) };
        see(&mut process, spawned, 0);
        process
    }

    fn see(process: &mut Process, observation: Observation, now: i64) {
        let input = Input::Observation(observation);
        let step = process.decide(&context(now), &longhaul_domain::LiveStats::default(), &input).unwrap();
        process.evolve(&step.events);
    }

    const fn context(now: i64) -> DecisionContext {
        DecisionContext {
            now: Timestamp(now),
            awake: AwakeTime(now),
            chance: RandomBits(0),
            capabilities: Capabilities::ALL,
        }
    }

    fn exit(status: ExitStatus) -> Exit {
        Exit::of(status, Timestamp(61_000))
    }

    const fn code(code: i32) -> ExitStatus {
        ExitStatus::Code(code)
    }

    const fn signal(number: u8) -> ExitStatus {
        ExitStatus::Signal { number, core: false }
    }
}
