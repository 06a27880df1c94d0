//! The number of slots of each concurrency key, and the limits of process trees.

use crate::id::SlotKey;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// The slot limits of all keys. A limit applies to a single key, to a pattern, or by default. 0 slots means no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Number of slots by key or by pattern. A pattern ends in `*` and covers every key with that prefix.
    pub slots: BTreeMap<String, u32>,
    /// Number of slots of each key that no entry in `slots` covers.
    pub default_slots: u32,
    /// Keys whose queues are on hold. Their waiting processes are not started; running processes continue.
    pub held: BTreeMap<SlotKey, QueueHold>,
    /// Limits that the latest call of [`configure`](Self::configure) applied; `None` if there was no call.
    pub configured: Option<ConfiguredLimits>,
}

/// The slot limits of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredLimits {
    /// Number of slots by key or by pattern.
    pub slots: BTreeMap<String, u32>,
    /// Number of slots of each key that no entry in `slots` covers.
    pub default_slots: u32,
}

/// The hold of a queue, which prevents waiting processes from starting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueHold {
    /// Time at which the hold was set.
    pub since: Timestamp,
    /// Free text that identifies the caller who set the hold.
    pub by: Option<String>,
}

impl Policy {
    /// Value of `default_slots` if nothing is configured.
    pub const DEFAULT_SLOTS: u32 = 5;

    /// Returns the number of slots of `key`. The entry of the key takes precedence, then the longest matching pattern,
    /// then the default. Returns `None` if the key has no limit.
    #[must_use]
    pub fn slots_of(&self, key: &SlotKey) -> Option<u32> {
        let exact = self.slots.get(key.as_str());
        let slots = exact.or_else(|| self.by_pattern(key)).copied().unwrap_or(self.default_slots);
        (slots > 0).then_some(slots)
    }

    /// Applies the configured limits that have changed since the last call. A limit that was changed at run time is
    /// therefore preserved until its configured value changes. The first call applies all limits. Holds are not
    /// affected.
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

/// The maximum size of a tree of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeLimits {
    /// Maximum level of a process in a tree.
    pub max_level: crate::id::Level,
    /// Maximum number of live processes on one level of a tree.
    pub per_level: u32,
}

impl Default for TreeLimits {
    fn default() -> Self {
        Self { max_level: crate::id::Level(10), per_level: 20 }
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
    fn only_changed_limits_of_the_configuration_are_applied() {
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
