//! What went wrong, and what it means for those who wait for an answer.

#![expect(clippy::wildcard_enum_match_arm, reason = "what the client may say is not ours, and grows")]

use super::acl_error::AclError;
use super::tls::TlsFault;
use super::unsuitable::UnsuitableServer;
use longhaul_domain::{OpId, ProcessId};
use longhaul_ports::{StoreError, StoreRejection};
use longhaul_wire::record::RecordDecodeError;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::fmt::Display;

/// What to do about a namespace that cannot be used.
const RECOVERY_HELP: &str = "restore a dump of it, or use another namespace";
/// What to do about one record of it.
const RECORD_HELP: &str =
    "it is left alone and nobody waits for it; to have it back, restore a dump of the namespace";
/// With this begins what a script says that found something damaged before it wrote anything.
const FOUND_DAMAGED: &str = "LHDAMAGED ";
/// What to do about one that is founded anew by the next sign of life of any node.
const RECREATED_HELP: &str =
    "try again in a second: each manager gives back what is its own, and nothing has to be restored";

/// What a failure says about the request that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedisFailureClass {
    /// The server does not know the script, and did nothing.
    NotLoaded,
    /// The connection failed: whether it was applied is unknown.
    Lost,
    /// Not applied, for now: the server loads its data, is busy, or waits for its primary.
    Busy,
    /// Not applied: this server is no primary any more, so another connection may be needed.
    Demoted,
    /// Not applied: as this node of a cluster knows, nobody leads the shard. Another node may know better.
    Leaderless,
    /// Applied, but not by every replica.
    Unacknowledged,
    /// Not applied: there is no more memory.
    Full,
    /// Not applied: the server cannot write to its disk, or has too few replicas.
    Halted,
    /// Not applied: whoever connects here may not do this.
    Forbidden,
    /// A script ended in the midst: what it needs is damaged.
    Damaged,
    /// Anything else: it is not worth a second try.
    Other,
}

impl RedisFailureClass {
    pub(super) fn on(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io | ErrorKind::Parse => Self::Lost,
            // The only one that this program makes itself.
            ErrorKind::Client => Self::Unacknowledged,
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::NotLoaded,
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                // The keys are on the way to another shard of a cluster.
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
                // What fails inside a script is named in its message.
                Some(_) | None => match Self::named(error.detail().unwrap_or_default()) {
                    Self::Other if is_of_script(error) => Self::Damaged,
                    named => named,
                },
            },
        }
    }

    /// What a server means that was found to be unfit before anything was sent to it.
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

/// The error for a request that surely left nothing behind.
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

/// The same of one record.
pub(super) fn of_record(id: ProcessId, error: StoreError) -> StoreError {
    about(format_args!("process {id}"), RECORD_HELP, error)
}

/// The same of one of many, whatever they are.
pub(super) fn about(one: impl Display, remedy: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt { what, .. } => {
            StoreError::Corrupt { what: format!("{one}: {what}"), remedy: remedy.to_owned() }
        }
        other => other,
    }
}

/// Whether a script ended in it, and not for want of memory, rights or a primary.
fn is_of_script(error: &RedisError) -> bool {
    let told = error.to_string();
    told.contains(FOUND_DAMAGED) || told.contains("script")
}

/// What a script met that it cannot work with.
fn corrupt_by(error: &RedisError) -> StoreError {
    let told = error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned);
    let Some((_, found)) = told.split_once(FOUND_DAMAGED) else { return corrupt(told) };
    // The server adds where its script stands.
    let what = found.split_once(" script: ").map_or(found, |(what, _)| what).trim_end_matches(',');
    let remedy = if what.starts_with("process ") { RECORD_HELP } else { RECOVERY_HELP };
    StoreError::Corrupt { what: what.to_owned(), remedy: remedy.to_owned() }
}

/// Somebody emptied the namespace under those who use it.
pub(super) fn emptied() -> StoreError {
    StoreError::Corrupt {
        what: "there is nothing in the namespace any more".to_owned(),
        remedy: RECREATED_HELP.to_owned(),
    }
}

pub(super) fn broken(broken: RecordDecodeError) -> StoreError {
    match broken {
        RecordDecodeError::TooNew { needs, reads } => StoreError::NewerRecord { needs, reads },
        damaged @ (RecordDecodeError::Damaged { .. } | _) => corrupt(damaged.to_string()),
    }
}
