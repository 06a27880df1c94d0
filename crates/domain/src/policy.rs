//! How many slots a key has.

use crate::id::SlotKey;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// The limits of all keys: by name, by pattern, and for the rest. 0 slots means no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Slots by key, or by pattern: one that ends in `*` covers every key that begins so.
    pub slots: BTreeMap<String, u32>,
    /// Slots of a key that nothing else covers.
    pub default_slots: u32,
    /// Keys whose waiters are held back; what runs goes on.
    pub held: BTreeMap<SlotKey, Hold>,
    /// What configuration these limits were last set from: only a changed one is set again, so that what was changed
    /// while running outlives a restart.
    pub configured: u64,
}

/// Since when and by whom a queue is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// By whom, in their own words.
    pub by: Option<String>,
}

impl Policy {
    /// Slots of a key that nothing else covers, unless configured.
    pub const DEFAULT_SLOTS: u32 = 5;

    /// The slots of `key`: by its own name, else by the longest pattern, else the default. None means no limit.
    #[must_use]
    pub fn slots_of(&self, key: &SlotKey) -> Option<u32> {
        let exact = self.slots.get(key.as_str());
        let slots = exact.or_else(|| self.by_pattern(key)).copied().unwrap_or(self.default_slots);
        (slots > 0).then_some(slots)
    }

    fn by_pattern(&self, key: &SlotKey) -> Option<&u32> {
        self.slots
            .iter()
            .filter(|(pattern, _)| {
                pattern.strip_suffix('*').is_some_and(|begin| key.as_str().starts_with(begin))
            })
            .max_by_key(|(pattern, _)| pattern.len())
            .map(|(_, slots)| slots)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            slots: BTreeMap::new(),
            default_slots: Self::DEFAULT_SLOTS,
            held: BTreeMap::new(),
            configured: 0,
        }
    }
}

/// The bounds of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeLimits {
    /// The deepest level under a root.
    pub deepest: crate::id::Level,
    /// The most live processes on one level of a tree.
    pub per_level: u32,
}

impl Default for TreeLimits {
    fn default() -> Self {
        Self { deepest: crate::id::Level(10), per_level: 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_key_wins_then_the_longest_pattern_then_the_default() {
        let policy = Policy {
            slots: [("claude-*", 2), ("claude-opus*", 1), ("claude-opus-9", 7), ("free", 0)]
                .into_iter()
                .map(|(key, slots)| (key.to_owned(), slots))
                .collect(),
            ..Policy::default()
        };
        let slots = |key: &str| policy.slots_of(&SlotKey::new(key).unwrap());
        assert_eq!(slots("claude-opus-9"), Some(7));
        assert_eq!(slots("claude-opus-4"), Some(1));
        assert_eq!(slots("claude-sonnet"), Some(2));
        assert_eq!(slots("other"), Some(5));
        assert_eq!(slots("free"), None);
    }
}
