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
    pub held: BTreeMap<SlotKey, QueueHold>,
    /// The configured limits as they were last taken over; none if none ever were.
    pub configured: Option<ConfiguredLimits>,
}

/// Limits as a configuration has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredLimits {
    /// Slots by key, or by pattern.
    pub slots: BTreeMap<String, u32>,
    /// Slots of a key that nothing else covers.
    pub default_slots: u32,
}

/// Since when and by whom a queue is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueHold {
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

    /// Takes over what is configured otherwise than it was when that was last done: what was changed while running stays
    /// as far as its configuration does. Holds are no part of a configuration.
    pub fn configure(&mut self, now: &ConfiguredLimits) {
        let before = self.configured.replace(now.clone());
        let Some(before) = before else {
            self.slots.clone_from(&now.slots);
            self.default_slots = now.default_slots;
            return;
        };
        for pattern in before.slots.keys().chain(now.slots.keys()) {
            match (before.slots.get(pattern), now.slots.get(pattern)) {
                (old, new) if old == new => {}
                (_, Some(slots)) => {
                    self.slots.insert(pattern.clone(), *slots);
                }
                (_, None) => {
                    self.slots.remove(pattern);
                }
            }
        }
        if before.default_slots != now.default_slots {
            self.default_slots = now.default_slots;
        }
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
            configured: None,
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

    #[test]
    fn only_what_is_configured_otherwise_than_before_is_set_anew() {
        let of = |pairs: &[(&str, u32)]| -> BTreeMap<String, u32> {
            pairs.iter().map(|(pattern, slots)| ((*pattern).to_owned(), *slots)).collect()
        };
        let configured = |pairs, default_slots| ConfiguredLimits { slots: of(pairs), default_slots };
        let mut policy = Policy { slots: of(&[("before", 1)]), default_slots: 7, ..Policy::default() };
        policy.configure(&configured(&[("same", 1), ("changed", 1), ("gone", 1)], 5));
        assert_eq!(policy.slots, of(&[("same", 1), ("changed", 1), ("gone", 1)]));
        assert_eq!(policy.default_slots, 5, "the first one is taken over as a whole");
        policy.slots = of(&[("same", 8), ("changed", 8), ("gone", 8), ("live", 8)]);
        policy.default_slots = 8;
        policy.configure(&configured(&[("same", 1), ("changed", 2), ("new", 3)], 5));
        assert_eq!(policy.slots, of(&[("same", 8), ("changed", 2), ("new", 3), ("live", 8)]));
        assert_eq!(policy.default_slots, 8);
        let after = policy.clone();
        policy.configure(&configured(&[("same", 1), ("changed", 2), ("new", 3)], 5));
        assert_eq!(policy, after);
        policy.configure(&configured(&[("same", 1), ("changed", 2), ("new", 3)], 6));
        assert_eq!((policy.slots, policy.default_slots), (after.slots, 6));
    }
}
