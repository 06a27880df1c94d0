//! Admission: the order in which waiting processes are claimed, as one pure rule that every store applies.
//!
//! The rule considers the keys that have a free slot, no hold, and a waiting process that the node may run. Each of
//! these keys is represented by its first waiting process that the node may run. The key whose process has the highest
//! priority is next. If priorities are equal, the key that was served least recently is next, then the key with the
//! lowest submit sequence number. Within a key, the order is priority, then sequence number.

use crate::id::{Priority, Seq};
use std::cmp::{Ordering, Reverse};

/// Position of a waiting process within its key: higher priority first, then the earlier submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Priority of the process; a higher value is served first.
    pub priority: Priority,
    /// Position of the process in the order of submission.
    pub seq: Seq,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        Reverse(self.priority).cmp(&Reverse(other.priority)).then(self.seq.cmp(&other.seq))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A concurrency key with a waiting process that the node may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyKey {
    /// Position of the first waiting process that the node may run.
    pub first: Rank,
    /// Number of the latest claim under this key; 0 means that there was none. Claims are numbered in ascending order.
    pub served: u64,
    /// Number of slots of the key. `None` means no limit.
    pub slots: Option<u32>,
    /// Number of slots that are taken.
    pub taken: u32,
    /// True while the queue is on hold. During that time, no waiting process starts.
    pub held: bool,
}

impl ReadyKey {
    /// Returns true if the key has a free slot and is not on hold.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.held && self.slots.is_none_or(|slots| self.taken < slots)
    }

    fn place(&self) -> (Reverse<Priority>, u64, Seq) {
        (Reverse(self.first.priority), self.served, self.first.seq)
    }
}

/// Returns the key whose first waiting process is claimed next. Returns `None` if no key has a free slot without a
/// hold.
pub fn next<T>(lines: impl IntoIterator<Item = (T, ReadyKey)>) -> Option<T> {
    lines
        .into_iter()
        .filter(|(_, line)| line.is_open())
        .min_by_key(|(_, line)| line.place())
        .map(|(line, _)| line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_goes_first_then_the_key_served_longest_ago_then_the_earlier_submit() {
        assert_eq!(next([("a", line(0, 1, 9)), ("b", line(5, 2, 9))]), Some("b"));
        assert_eq!(next([("a", line(0, 1, 9)), ("b", line(0, 2, 3))]), Some("b"));
        assert_eq!(next([("a", line(0, 2, 3)), ("b", line(0, 1, 3))]), Some("b"));
    }

    #[test]
    fn a_full_or_held_key_lets_the_others_pass() {
        let full = ReadyKey { taken: 1, ..line(5, 1, 0) };
        let held = ReadyKey { held: true, ..line(5, 2, 0) };
        assert_eq!(next([("full", full), ("held", held), ("open", line(0, 3, 9))]), Some("open"));
        assert_eq!(next([("full", full), ("held", held)]), None);
        assert_eq!(next([("free", ReadyKey { slots: None, taken: 1_000, ..line(0, 1, 0) })]), Some("free"));
    }

    #[test]
    fn rank_of_a_higher_priority_or_an_earlier_submit_is_less() {
        let rank = |priority, seq| Rank { priority: Priority::new(priority).unwrap(), seq: Seq(seq) };
        assert!(rank(5, 9) < rank(0, 1));
        assert!(rank(0, 1) < rank(0, 2));
    }

    fn line(priority: i64, seq: u64, served: u64) -> ReadyKey {
        let first = Rank { priority: Priority::new(priority).unwrap(), seq: Seq(seq) };
        ReadyKey { first, served, slots: Some(1), taken: 0, held: false }
    }
}
