//! Requests to the server and their errors.

use super::failure::{RedisFailureClass, not_applied, unavailable};
use super::history_guard::StoreRegressed;
use super::script::{LuaScript, ScriptArgs};
use super::unsuitable::UnsuitableServer;
use longhaul_ports::StoreError;
use redis::{Cmd, RedisError};

/// A request to the server.
pub(super) enum RedisRequest<'a> {
    /// A single read command.
    Look(Cmd),
    Script {
        script: &'a LuaScript,
        args: ScriptArgs,
        purpose: ScriptPurpose,
    },
}

impl RedisRequest<'_> {
    /// Returns true if the request writes data that the server must store durably.
    pub(super) const fn writes(&self) -> bool {
        match self {
            Self::Look(_) | Self::Script { purpose: ScriptPurpose::Read, .. } => false,
            Self::Script { purpose: ScriptPurpose::Write | ScriptPurpose::Take, .. } => true,
        }
    }
}

/// Purpose of a script run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScriptPurpose {
    /// Changes nothing that other nodes must know.
    Read,
    /// Writes data that the server must store with the configured durability.
    Write,
    /// Writes data as above, and may take processes of other nodes.
    Take,
}

/// Failure of a request.
pub(super) struct RequestError {
    /// True if an earlier try may have been applied.
    pub(super) maybe_applied: bool,
    pub(super) why: SendError,
}

/// Failure of one try.
pub(super) enum SendError {
    /// Error of the connection or of the server.
    Met(RedisError),
    /// Error of the server check that precedes the request; nothing was sent.
    Unseen(RedisError),
    /// The server cannot guarantee the durability of the write; nothing was sent.
    Broken(UnsuitableServer),
    /// The server has lost data, which was not reported yet; nothing was sent.
    Behind,
}

impl SendError {
    pub(super) fn verdict(&self) -> RedisFailureClass {
        match self {
            Self::Met(error) | Self::Unseen(error) => RedisFailureClass::on(error),
            Self::Broken(fault) => RedisFailureClass::on_fault(fault),
            Self::Behind => RedisFailureClass::Other,
        }
    }

    /// Converts the failure of a request that certainly changed nothing.
    pub(super) fn not_applied(self) -> StoreError {
        match self {
            Self::Met(error) | Self::Unseen(error) => not_applied(error),
            Self::Broken(fault) => StoreError::ReadOnly { why: fault.to_string() },
            Self::Behind => unavailable(StoreRegressed),
        }
    }
}
