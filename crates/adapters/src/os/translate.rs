//! Translates between the types of the shim and the types of the domain.

use longhaul_domain::{
    Condition, Containment, Exit, ExitCircumstances, ExitStatus, Interruption, Observation, SignalTarget,
    StartFailure, StartStage, StopCause, Timestamp, Usage,
};
use longhaul_ports::AttemptKey;
use longhaul_shim::{ExceededLimit, ExitRecord, Identity, ProgramEnd, SpawnStage, StopReason};
use rustix::io::Errno;
use std::io;
use std::time::Duration;

const KILOBYTE: u64 = 1024;

/// Returns the observation that a command has started.
pub(super) fn spawned(key: AttemptKey, identity: &Identity) -> Observation {
    let containment = match identity.mechanism {
        longhaul_shim::Containment::Cgroup => Containment::Cgroup,
        longhaul_shim::Containment::Subreaper => Containment::Subreaper,
        longhaul_shim::Containment::Group => Containment::Group,
    };
    Observation::Spawned {
        attempt: key.attempt,
        pid: Some(identity.pid),
        containment: Some(containment),
        at: moment(identity.started_at),
    }
}

/// Returns the observation that an attempt has ended. `program` is used in the message of a failed start.
pub(super) fn over(
    key: AttemptKey,
    record: &ExitRecord,
    program: &str,
    exit_unobserved: bool,
) -> Observation {
    let attempt = key.attempt;
    let status = match record.ending {
        ProgramEnd::Exited { code } => ExitStatus::Code(code),
        ProgramEnd::Signaled { signal, core } => ExitStatus::Signal { number: small(signal), core },
        ProgramEnd::NeverRan => return Observation::NeverRan { attempt },
        ProgramEnd::SpawnFailed { stage, errno } => {
            return Observation::SpawnFailed { attempt, failure: failure(stage, errno, program) };
        }
    };
    let exit = Exit {
        limit: record.limit.map(limit),
        status,
        at: moment(record.ended_at),
        stopped: record.stopped.map(cause),
        last_signal: record.escalated.map(small),
        leftovers_killed: count(record.swept),
        leftovers_found: count(record.leftovers),
        usage: Usage {
            user: Duration::from_millis(record.utime_ms),
            system: Duration::from_millis(record.stime_ms),
            peak_memory: record.max_rss_kb.saturating_mul(KILOBYTE),
        },
        output_bytes: record.output_bytes,
        dropped_bytes: record.dropped_bytes,
        started_at: Some(moment(record.ended_at.saturating_sub(record.run_ms))),
        circumstances: ExitCircumstances {
            paused: record.paused,
            output_open: record.output_open,
            exit_unobserved,
            end_time_unknown: record.undated,
            unverified: record.unverified,
            search_incomplete: false,
        },
        first_error: None,
    };
    Observation::Exited { attempt, exit }
}

/// Returns the observation that a command has ended and its leftovers are being killed.
pub(super) fn cleaning_up(key: AttemptKey, record: &ExitRecord) -> Observation {
    Observation::ConditionObserved {
        attempt: key.attempt,
        condition: Condition::CleaningUp,
        holds: true,
        at: moment(record.ended_at),
    }
}

/// Returns the observation that a signal has stopped the shim (if `holds` is true) or that the shim has continued.
pub(super) fn supervisor_stopped(key: AttemptKey, holds: bool, at: u64) -> Observation {
    let condition = Condition::SupervisorStopped;
    Observation::ConditionObserved { attempt: key.attempt, condition, holds, at: moment(at) }
}

/// Returns the observation that no program recorded how the attempt ended.
pub(super) fn lost(key: AttemptKey, why: Interruption) -> Observation {
    Observation::SupervisorLost { attempt: key.attempt, why }
}

/// Returns the interruption of an attempt whose shim was killed. `evidence` describes what is known about the attempt.
pub(super) fn killed(evidence: impl Into<String>) -> Interruption {
    Interruption::SupervisorKilled { evidence: evidence.into(), unverified: false }
}

/// Translates the target of a signal.
pub(super) const fn target(target: SignalTarget) -> longhaul_shim::SignalTarget {
    match target {
        SignalTarget::Main => longhaul_shim::SignalTarget::Leader,
        SignalTarget::Tree => longhaul_shim::SignalTarget::Tree,
    }
}

/// Translates the cause of a stop.
pub(super) const fn reason(cause: StopCause) -> StopReason {
    match cause {
        StopCause::User => StopReason::User,
        StopCause::Timeout => StopReason::Timeout,
        StopCause::Parent => StopReason::Parent,
        StopCause::Session => StopReason::Session,
        StopCause::Shutdown => StopReason::Shutdown,
        StopCause::Limit => StopReason::Limit,
    }
}

const fn cause(reason: StopReason) -> StopCause {
    match reason {
        // A reason that this version does not support counts as a request of the user.
        StopReason::User | StopReason::Other => StopCause::User,
        StopReason::Timeout => StopCause::Timeout,
        StopReason::Parent => StopCause::Parent,
        StopReason::Session => StopCause::Session,
        StopReason::Shutdown => StopCause::Shutdown,
        StopReason::Limit => StopCause::Limit,
    }
}

const fn limit(limit: ExceededLimit) -> longhaul_domain::ExceededLimit {
    match limit {
        ExceededLimit::Cpu => longhaul_domain::ExceededLimit::Cpu,
        ExceededLimit::Memory => longhaul_domain::ExceededLimit::Memory,
        ExceededLimit::FileSize => longhaul_domain::ExceededLimit::FileSize,
    }
}

fn failure(stage: SpawnStage, errno: i32, program: &str) -> StartFailure {
    let (stage, tried) = match stage {
        SpawnStage::Fork => (StartStage::Supervisor, "the process could not be created"),
        SpawnStage::Limit => (StartStage::Limits, "a resource limit could not be set"),
        SpawnStage::Directory => (StartStage::Directory, "the working directory could not be entered"),
        SpawnStage::Stdin => (StartStage::Stdin, "the standard input could not be opened"),
        SpawnStage::Output => (StartStage::Supervisor, "the output could not be redirected"),
        SpawnStage::Exec => (StartStage::Exec, "the program could not be executed"),
        SpawnStage::Other => (StartStage::Supervisor, "the start failed"),
    };
    let named = if stage == StartStage::Exec { format!("{program}: {tried}") } else { tried.to_owned() };
    let mut detail = format!("{named}: {}", io::Error::from_raw_os_error(errno));
    if stage == StartStage::Exec && errno == Errno::NOENT.raw_os_error() {
        detail.push_str("; the file exists, so the interpreter in its first line or its header is missing");
    } else if stage == StartStage::Stdin && errno == Errno::NXIO.raw_os_error() {
        detail.push_str(
            "; no program has opened this named pipe for writing: open it first, or launch with --stdin-pipe and \
             write with `longhaul send`",
        );
    } else if stage == StartStage::Exec && errno == Errno::NOEXEC.raw_os_error() {
        detail.push_str("; a script must start with a line such as #!/bin/sh");
    }
    StartFailure { stage, errno: (errno != 0).then_some(errno), detail }
}

fn moment(ms: u64) -> Timestamp {
    Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn small(signal: i32) -> u8 {
    u8::try_from(signal).unwrap_or(u8::MAX)
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{AttemptNo, ProcessId};

    fn key() -> AttemptKey {
        AttemptKey { id: ProcessId::new(uuid::Uuid::from_u128(1)), attempt: AttemptNo(3) }
    }

    #[test]
    fn every_cause_comes_back_from_the_shim_as_it_went() {
        for each in [
            StopCause::User,
            StopCause::Timeout,
            StopCause::Parent,
            StopCause::Session,
            StopCause::Shutdown,
            StopCause::Limit,
        ] {
            assert_eq!(cause(reason(each)), each);
        }
    }

    #[test]
    fn a_missing_interpreter_is_named_as_the_reason() {
        let mut record = ExitRecord::never_ran(1, 2);
        record.ending = ProgramEnd::SpawnFailed { stage: SpawnStage::Exec, errno: 2 };
        let Observation::SpawnFailed { failure, .. } = over(key(), &record, "/opt/tool", false) else {
            panic!("not a failed start");
        };
        assert_eq!((failure.stage, failure.errno), (StartStage::Exec, Some(2)));
        assert!(failure.detail.starts_with("/opt/tool") && failure.detail.contains("interpreter"));
    }

    #[test]
    fn a_named_pipe_without_a_writer_is_named_as_the_reason() {
        let mut record = ExitRecord::never_ran(1, 2);
        record.ending = ProgramEnd::SpawnFailed { stage: SpawnStage::Stdin, errno: 6 };
        let Observation::SpawnFailed { failure, .. } = over(key(), &record, "tool", false) else {
            panic!("not a failed start");
        };
        assert!(failure.stage == StartStage::Stdin && failure.detail.contains("named pipe"), "{failure:?}");
    }

    #[test]
    fn the_limit_that_ended_a_command_is_reported() {
        let mut record = ExitRecord::never_ran(1, 2);
        record.ending = ProgramEnd::Signaled { signal: 24, core: false };
        for (said, heard) in [
            (None, None),
            (Some(ExceededLimit::Cpu), Some(longhaul_domain::ExceededLimit::Cpu)),
            (Some(ExceededLimit::Memory), Some(longhaul_domain::ExceededLimit::Memory)),
            (Some(ExceededLimit::FileSize), Some(longhaul_domain::ExceededLimit::FileSize)),
        ] {
            record.limit = said;
            let Observation::Exited { exit, .. } = over(key(), &record, "tool", false) else {
                panic!("not an exit");
            };
            assert_eq!(exit.limit, heard);
        }
    }

    #[test]
    fn the_circumstances_of_the_end_are_reported() {
        let mut record = ExitRecord::never_ran(1_000, 2);
        record.ending = ProgramEnd::Exited { code: 0 };
        let told = |record: &ExitRecord, exit_unobserved| {
            let Observation::Exited { exit, .. } = over(key(), record, "tool", exit_unobserved) else {
                panic!("not an exit");
            };
            exit.circumstances
        };
        assert_eq!(told(&record, false), ExitCircumstances::PLAIN);
        assert_eq!(
            told(&record, true),
            ExitCircumstances { exit_unobserved: true, ..ExitCircumstances::PLAIN }
        );
        let with = |mark: fn(&mut ExitRecord)| {
            let mut record = record.clone();
            mark(&mut record);
            told(&record, false)
        };
        assert!(with(|record| record.paused = true).paused);
        assert!(with(|record| record.output_open = true).output_open);
        assert!(with(|record| record.undated = true).end_time_unknown);
        assert!(with(|record| record.unverified = true).unverified);
    }

    #[test]
    fn an_attempt_that_never_ran_has_no_exit() {
        let record = ExitRecord::never_ran(1, 2);
        assert_eq!(over(key(), &record, "tool", false), Observation::NeverRan { attempt: AttemptNo(3) });
    }
}
