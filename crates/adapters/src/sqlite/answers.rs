//! Stored replies to the latest operations on a process, so that a repeated operation gets the same reply.

use longhaul_domain::OpId;

/// Maximum number of replies to keep for one process.
const MAX_REPLIES: usize = 64;
const OP: usize = 16;
const ENTRY_LEN: usize = OP + 8;

/// Replies, oldest first. Each consists of the operation id and the reply as a big-endian number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OpReplies(Vec<u8>);

impl OpReplies {
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the stored reply to this operation.
    pub(super) fn to(&self, op: OpId) -> Option<i64> {
        let entries = self.0.chunks_exact(ENTRY_LEN).filter_map(|entry| entry.split_at_checked(OP));
        let (_, answer) = entries.rev().find(|(of, _)| of == op.as_uuid().as_bytes())?;
        answer.try_into().ok().map(i64::from_be_bytes)
    }

    pub(super) fn remember(&mut self, op: OpId, answer: i64) {
        self.0.extend_from_slice(op.as_uuid().as_bytes());
        self.0.extend_from_slice(&answer.to_be_bytes());
        self.keep(MAX_REPLIES);
    }

    /// Deletes all replies except the latest ones.
    pub(super) fn keep(&mut self, limit: usize) {
        let beyond = self.0.len().saturating_sub(limit.saturating_mul(ENTRY_LEN));
        self.0.drain(..beyond);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_latest_answers_are_kept_and_the_oldest_forgotten_first() {
        let op = |no: usize| OpId::new(Uuid::from_u128(no as u128));
        let mut answers = OpReplies::default();
        (0..MAX_REPLIES + 3).for_each(|no| answers.remember(op(no), no as i64));
        let answers = OpReplies::new(answers.bytes().to_vec());
        for no in 0..MAX_REPLIES + 3 {
            assert_eq!(answers.to(op(no)), (no >= 3).then_some(no as i64), "{no}");
        }
        let mut few = answers;
        few.keep(2);
        assert_eq!(few.to(op(MAX_REPLIES)), None);
        assert_eq!(few.to(op(MAX_REPLIES + 1)), Some(MAX_REPLIES as i64 + 1));
    }
}
