//! One request to the server, and why it has no answer.

use super::failure::{RedisFailureClass, not_applied, unavailable};
use super::history_guard::StoreRegressed;
use super::script::{LuaScript, ScriptArgs};
use super::unsuitable::UnsuitableServer;
use longhaul_ports::StoreError;
use redis::{Cmd, RedisError};

/// What is asked of the server.
pub(super) enum RedisRequest<'a> {
    /// A command that only reads.
    Look(Cmd),
    Script {
        script: &'a LuaScript,
        args: ScriptArgs,
        purpose: ScriptPurpose,
    },
}

impl RedisRequest<'_> {
    /// Whether it changes what the server then has to keep.
    pub(super) const fn writes(&self) -> bool {
        match self {
            Self::Look(_) | Self::Script { purpose: ScriptPurpose::Read, .. } => false,
            Self::Script { purpose: ScriptPurpose::Write | ScriptPurpose::Take, .. } => true,
        }
    }
}

/// What a script is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScriptPurpose {
    /// To change nothing that anybody has to know of.
    Read,
    /// To change something, which the server then has to keep as it was promised.
    Write,
    /// The same with what may be another's.
    Take,
}

/// Why a request has no answer.
pub(super) struct RequestError {
    /// An earlier try may have been applied.
    pub(super) maybe_applied: bool,
    pub(super) why: SendError,
}

/// What a try met.
pub(super) enum SendError {
    /// An error, of the connection or of the server.
    Met(RedisError),
    /// An error at the look at the server that comes before it; nothing was sent.
    Unseen(RedisError),
    /// A server that cannot keep what it would have to; nothing was sent.
    Broken(UnsuitableServer),
    /// A server that lost something that nobody was told of yet; nothing was sent.
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

    /// The error for a request that surely left nothing behind.
    pub(super) fn not_applied(self) -> StoreError {
        match self {
            Self::Met(error) | Self::Unseen(error) => not_applied(error),
            Self::Broken(fault) => StoreError::ReadOnly { why: fault.to_string() },
            Self::Behind => unavailable(StoreRegressed),
        }
    }
}
