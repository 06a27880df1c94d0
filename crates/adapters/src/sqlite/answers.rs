//! What the latest writes of a process were answered, so that sending one again gets the same answer.

use longhaul_domain::OpId;

/// So many answers are kept for one process.
const MAX_REPLIES: usize = 64;
const OP: usize = 16;
const ENTRY_LEN: usize = OP + 8;

/// Answers one after the other, the oldest first: the op, then the answer as a big-endian number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OpReplies(Vec<u8>);

impl OpReplies {
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What was answered to this write before.
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

    /// Lets go of all but the latest.
    pub(super) fn keep(&mut self, most: usize) {
        let beyond = self.0.len().saturating_sub(most.saturating_mul(ENTRY_LEN));
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
