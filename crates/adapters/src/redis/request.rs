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
    /// Makes no changes that other nodes need to receive.
    Read,
    /// Writes data that the server must store with the configured durability.
    Write,
    /// Writes data like `Write`, and may also take processes of other nodes.
    Take,
}

/// Failure of a request after all its tries.
pub(super) struct RequestError {
    /// True if the server may have applied an earlier try.
    pub(super) maybe_applied: bool,
    pub(super) why: SendError,
}

/// Failure of one try of a request.
pub(super) enum SendError {
    /// Error of the connection or of the server.
    Met(RedisError),
    /// Error of the server check that precedes the request; nothing was sent.
    Unseen(RedisError),
    /// The server cannot guarantee the durability of the write; nothing was sent.
    Broken(UnsuitableServer),
    /// The server has lost data, and no lease renewal has reported the loss yet; nothing was sent.
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

    /// Converts the failure of a request that certainly changed nothing into a store error.
    pub(super) fn not_applied(self) -> StoreError {
        match self {
            Self::Met(error) | Self::Unseen(error) => not_applied(error),
            Self::Broken(fault) => StoreError::ReadOnly { why: fault.to_string() },
            Self::Behind => unavailable(StoreRegressed),
        }
    }
}
