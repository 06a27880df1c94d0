//! Classifies errors of the server and converts them into store errors.

#![expect(clippy::wildcard_enum_match_arm, reason = "what the client may say is not ours, and grows")]

use super::acl_error::AclError;
use super::tls::TlsFault;
use super::unsuitable::UnsuitableServer;
use longhaul_domain::{OpId, ProcessId};
use longhaul_ports::{StoreError, StoreRejection};
use longhaul_wire::record::RecordDecodeError;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::fmt::Display;

/// Advice for a namespace that cannot be used.
const RECOVERY_HELP: &str = "restore a dump of the namespace, or use another namespace";
/// Advice for a single damaged record.
const RECORD_HELP: &str =
    "the record is quarantined and blocks no other process; to get it back, restore a dump of the namespace";
/// Prefix of a script's error message if the script found damaged data before its first write.
const FOUND_DAMAGED: &str = "LHDAMAGED ";
/// Advice for a namespace that was emptied. The next lease renewal of any node creates the namespace again.
const RECREATED_HELP: &str =
    "try again in a second: each manager restores its own records, and no dump is needed";

/// Consequence of a server error for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedisFailureClass {
    /// Not applied: the server has not loaded the script.
    NotLoaded,
    /// Unknown: the connection failed, so the request may or may not have been applied.
    Lost,
    /// Not applied for a temporary reason: the server is loading its data, is busy, or is waiting for its primary.
    Busy,
    /// Not applied: this server is no longer a primary, so a new connection may be needed.
    Demoted,
    /// Not applied: this cluster node has no record of a primary for the shard. Another node may have one.
    Leaderless,
    /// Applied, but some required replicas have not received it.
    Unacknowledged,
    /// Not applied: the server has no memory left.
    Full,
    /// Not applied: the server cannot write to its disk, or has too few replicas.
    Halted,
    /// Not applied: the user lacks the permission.
    Forbidden,
    /// The script was aborted because data that it needs is damaged.
    Damaged,
    /// Any other error. Another try would not help.
    Other,
}

impl RedisFailureClass {
    pub(super) fn on(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io | ErrorKind::Parse => Self::Lost,
            // Of all client errors, this program creates only one: a write that did not reach all replicas.
            ErrorKind::Client => Self::Unacknowledged,
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::NotLoaded,
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                // The keys are being moved to another shard of the cluster.
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::MasterDown,
            ) => Self::Busy,
            ErrorKind::Server(ServerErrorKind::ClusterDown) => Self::Leaderless,
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::Moved) => Self::Demoted,
            ErrorKind::Server(ServerErrorKind::NoPerm) | ErrorKind::AuthenticationFailed => Self::Forbidden,
            _ => match error.code() {
                Some("OOM") => Self::Full,
                Some("BUSY") => Self::Busy,
                Some("MISCONF" | "NOREPLICAS") => Self::Halted,
                Some("NOAUTH" | "WRONGPASS") => Self::Forbidden,
                Some("UNBLOCKED") => Self::Demoted,
                Some("WRONGTYPE") => Self::Damaged,
                // For errors inside a script, only the message contains the name of the error.
                Some(_) | None => match Self::named(error.detail().unwrap_or_default()) {
                    Self::Other if is_of_script(error) => Self::Damaged,
                    named => named,
                },
            },
        }
    }

    /// Classifies a fault that was detected before the request was sent to the server.
    pub(super) const fn on_fault(fault: &UnsuitableServer) -> Self {
        match fault {
            UnsuitableServer::Replica { .. } => Self::Demoted,
            UnsuitableServer::TooOld { .. }
            | UnsuitableServer::Evicts { .. }
            | UnsuitableServer::NotDurable { .. }
            | UnsuitableServer::OtherReplicas { .. }
            | UnsuitableServer::Silent { .. } => Self::Halted,
        }
    }

    fn named(detail: &str) -> Self {
        let named = |word: &str| detail.contains(word);
        if named("OOM command not allowed") {
            Self::Full
        } else if named("READONLY You can't write") {
            Self::Demoted
        } else if named("MISCONF ") || named("NOREPLICAS ") {
            Self::Halted
        } else if named("No permissions") || named("can't run this command") {
            Self::Forbidden
        } else {
            Self::Other
        }
    }
}

/// Converts the error of a request that certainly changed nothing.
pub(super) fn not_applied(error: RedisError) -> StoreError {
    match RedisFailureClass::on(&error) {
        RedisFailureClass::Damaged => corrupt_by(&error),
        RedisFailureClass::Full => StoreError::Refused(StoreRejection::Full),
        RedisFailureClass::Demoted | RedisFailureClass::Halted => {
            StoreError::ReadOnly { why: error.to_string() }
        }
        RedisFailureClass::Forbidden => unavailable(AclError::of(&error)),
        RedisFailureClass::NotLoaded
        | RedisFailureClass::Lost
        | RedisFailureClass::Busy
        | RedisFailureClass::Leaderless
        | RedisFailureClass::Unacknowledged
        | RedisFailureClass::Other => match TlsFault::of(&error) {
            Some(fault) => unavailable(fault),
            None => unavailable(error),
        },
    }
}

pub(super) fn unknown(op: Option<OpId>, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unknown { op, source: Box::new(error) }
}

pub(super) fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable { source: Box::new(error) }
}

pub(super) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into(), remedy: RECOVERY_HELP.to_owned() }
}

/// Adds the process id and the advice for a single record to a damage error.
pub(super) fn of_record(id: ProcessId, error: StoreError) -> StoreError {
    about(format_args!("process {id}"), RECORD_HELP, error)
}

/// Adds the name of the damaged entry and advice for the operator to a damage error.
pub(super) fn about(one: impl Display, remedy: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt { what, .. } => {
            StoreError::Corrupt { what: format!("{one}: {what}"), remedy: remedy.to_owned() }
        }
        other => other,
    }
}

/// Returns true if the error comes from a script and is not about memory, permissions or a demoted primary.
fn is_of_script(error: &RedisError) -> bool {
    let reported = error.to_string();
    reported.contains(FOUND_DAMAGED) || reported.contains("script")
}

/// Converts the error that a script returns when it finds damaged data.
fn corrupt_by(error: &RedisError) -> StoreError {
    let reported = error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned);
    let Some((_, found)) = reported.split_once(FOUND_DAMAGED) else { return corrupt(reported) };
    // Remove the position in the script, which the server appends to the message.
    let what = found.split_once(" script: ").map_or(found, |(what, _)| what).trim_end_matches(',');
    let remedy = if what.starts_with("process ") { RECORD_HELP } else { RECOVERY_HELP };
    StoreError::Corrupt { what: what.to_owned(), remedy: remedy.to_owned() }
}

/// Returns the error for a namespace that was emptied while it was in use.
pub(super) fn emptied() -> StoreError {
    StoreError::Corrupt { what: "the namespace is empty now".to_owned(), remedy: RECREATED_HELP.to_owned() }
}

pub(super) fn broken(broken: RecordDecodeError) -> StoreError {
    match broken {
        RecordDecodeError::TooNew { needs, reads } => StoreError::NewerRecord { needs, reads },
        damaged @ (RecordDecodeError::Damaged { .. } | _) => corrupt(damaged.to_string()),
    }
}
