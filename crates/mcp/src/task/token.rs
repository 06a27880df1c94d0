//! Content of a task id, in binary form.

use crate::tool::input::WaitModeInput;
use longhaul_domain::{ProcessId, Timestamp};
use uuid::Uuid;

/// Version of the binary form.
const FORM: u8 = 1;
/// Length in bytes of the part before the process ids: version, mode, creation time and nonce.
const HEAD: usize = 2 + 8 + NONCE;
/// Length of a process id, in bytes.
const ID: usize = 16;
/// Length of the nonce, in bytes.
pub(super) const NONCE: usize = 16;

/// Random bytes that make each task unique and cannot be guessed.
pub(super) type Nonce = [u8; NONCE];

/// Content of a task id: the processes whose end the task waits for, and further facts about the wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskToken {
    pub(super) ids: Vec<ProcessId>,
    pub(super) mode: WaitModeInput,
    pub(super) created: Timestamp,
    pub(super) nonce: Nonce,
}

impl TaskToken {
    /// Creates a token with a random nonce.
    pub(super) fn new(ids: Vec<ProcessId>, mode: WaitModeInput, created: Timestamp) -> Self {
        Self { ids, mode, created, nonce: Uuid::new_v4().into_bytes() }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mode = match self.mode {
            WaitModeInput::All => 0,
            WaitModeInput::Any => 1,
        };
        let mut bytes = vec![FORM, mode];
        bytes.extend(self.created.0.to_be_bytes());
        bytes.extend(self.nonce);
        bytes.extend(self.ids.iter().flat_map(|id| id.as_uuid().into_bytes()));
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, ids) = bytes.split_at_checked(HEAD)?;
        let (form, head) = head.split_first()?;
        let (mode, head) = head.split_first()?;
        let (created, nonce) = head.split_at_checked(8)?;
        let mode = match mode {
            0 => WaitModeInput::All,
            1 => WaitModeInput::Any,
            _ => return None,
        };
        let (ids, rest) = ids.as_chunks::<ID>();
        if *form != FORM || !rest.is_empty() || ids.is_empty() {
            return None;
        }
        Some(Self {
            ids: ids.iter().map(|id| ProcessId::new(Uuid::from_bytes(*id))).collect(),
            mode,
            created: Timestamp(i64::from_be_bytes(created.try_into().ok()?)),
            nonce: nonce.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_is_read_as_it_was_written() {
        let ids = (1..=16).map(|n| ProcessId::new(Uuid::from_u128(n))).collect();
        let ticket = TaskToken::new(ids, WaitModeInput::Any, Timestamp(-5));
        let bytes = ticket.to_bytes();
        assert_eq!(TaskToken::from_bytes(&bytes), Some(ticket));
        for length in 0..bytes.len() {
            let cut = TaskToken::from_bytes(&bytes[..length]);
            assert!(cut.is_none() || (length - HEAD).is_multiple_of(ID), "{length}");
        }
    }

    #[test]
    fn no_two_tasks_are_the_same() {
        let one =
            || TaskToken::new(vec![ProcessId::new(Uuid::from_u128(1))], WaitModeInput::All, Timestamp(0));
        assert_ne!(one(), one());
    }
}
