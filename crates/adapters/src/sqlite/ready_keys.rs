//! Queues of waiting processes, one for each key. They are the input of the admission rule.
//!
//! All queues are read from the indexes only once. After that, only changed queues are read again, because most claims
//! inspect many queues and change one.

use super::failure::StepAbort;
use super::row;
use super::write_connection::WriteConnection;
use longhaul_domain::admission::{self, Rank, ReadyKey};
use longhaul_domain::{Policy, PolicyVersion, Priority, Seq, SlotKey};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of queues to cache. If there are more, they are read again for each claim.
const MAX_CACHED_KEYS: usize = 10_000;

/// Cache that keeps the queues from one claim to the next.
#[derive(Debug, Default)]
pub(super) struct ReadyKeyCache {
    known: Option<ReadyKeys>,
    /// Keys that the present transaction has changed.
    moved: BTreeSet<String>,
}

impl ReadyKeyCache {
    pub(super) fn keep(&mut self, lines: ReadyKeys) {
        self.known = Some(lines).filter(|lines| lines.keys.len() <= MAX_CACHED_KEYS);
    }

    /// Records that the waiting processes or slot holders of this key have changed.
    pub(super) fn moved(&mut self, key: Option<&SlotKey>) {
        let key = key.map_or("", |key| key.as_str());
        if !self.moved.contains(key) {
            self.moved.insert(key.to_owned());
        }
        if let Some(lines) = &mut self.known
            && !lines.stale.contains(key)
        {
            lines.stale.insert(key.to_owned());
        }
    }

    pub(super) fn begin(&mut self) {
        self.moved.clear();
    }

    /// Discards the cache, because the transaction in which it was read may not be committed.
    pub(super) fn doubt(&mut self) {
        if let Some(lines) = &mut self.known {
            lines.stale.extend(self.moved.iter().cloned());
        }
    }

    pub(super) fn forget(&mut self) {
        self.known = None;
    }
}

/// The queues of all keys that have a waiting process.
#[derive(Debug)]
pub(super) struct ReadyKeys {
    keys: BTreeMap<String, KeyQueue>,
    stale: BTreeSet<String>,
    policy: PolicyVersion,
    /// Data version of the database. It changes when another connection writes.
    database: i64,
}

#[derive(Debug)]
struct KeyQueue {
    slots: Option<u32>,
    taken: u32,
    served: u64,
    held: bool,
    groups: BTreeMap<WaiterGroup, Rank>,
}

impl ReadyKeys {
    /// Returns the waiting process of these placement classes that is next in order of admission, as its key and its
    /// sequence number.
    pub(super) fn next(&self, classes: &BTreeSet<String>, roots_full: bool) -> Option<(String, i64)> {
        let lines = self.keys.iter().filter_map(|(key, line)| {
            let open = line
                .groups
                .iter()
                .filter(|(group, _)| classes.contains(&group.class) && !(roots_full && group.is_root()));
            let (_, first) = open.min_by_key(|(_, first)| **first)?;
            let next = ReadyKey {
                first: *first,
                served: line.served,
                slots: line.slots,
                taken: line.taken,
                held: line.held,
            };
            Some(((key, first), next))
        });
        let (key, first) = admission::next(lines)?;
        Some((key.clone(), row::int(first.seq.0)))
    }
}

/// Waiting processes of one key that have the same claim conditions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaiterGroup {
    pub(super) class: String,
    child: i64,
}

impl WaiterGroup {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { class: row.get(0)?, child: row.get(1)? })
    }

    pub(super) const fn is_root(&self) -> bool {
        self.child == 0
    }
}

impl WriteConnection {
    /// Returns the current queues.
    pub(super) fn ready_keys(&mut self) -> Result<ReadyKeys, StepAbort> {
        let (version, policy) = self.policy()?;
        let database = self.sql("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        let known = self.lines.known.take();
        if let Some(mut lines) = known.filter(|lines| lines.policy == version && lines.database == database) {
            for key in std::mem::take(&mut lines.stale) {
                self.look(&mut lines, key, &policy)?;
            }
            return Ok(lines);
        }
        let mut lines =
            ReadyKeys { keys: BTreeMap::new(), stale: BTreeSet::new(), policy: version, database };
        let mut next = self.next_key(None)?;
        while let Some(key) = next {
            next = self.next_key(Some(&key))?;
            self.look(&mut lines, key, &policy)?;
        }
        Ok(lines)
    }

    /// Reads the queue of one key again.
    pub(super) fn refresh_key(&mut self, lines: &mut ReadyKeys, key: String) -> Result<(), StepAbort> {
        let policy = self.policy()?.1;
        self.look(lines, key, &policy)
    }

    fn look(&self, lines: &mut ReadyKeys, key: String, policy: &Policy) -> Result<(), StepAbort> {
        let mut groups = BTreeMap::new();
        let mut next = self.next_group_of(&key, None)?;
        while let Some(group) = next {
            next = self.next_group_of(&key, Some(&group))?;
            if let Some(first) = self.first_of(&key, &group)? {
                groups.insert(group, first);
            }
        }
        if groups.is_empty() {
            lines.keys.remove(&key);
            return Ok(());
        }
        let slot_key: Option<SlotKey> = match key.as_str() {
            "" => None,
            key => Some(row::name(key)?),
        };
        let slots = slot_key.as_ref().and_then(|key| policy.slots_of(key));
        let line = KeyQueue {
            slots,
            taken: match slots {
                Some(slots) => self.taken(&key, slots)?,
                None => 0,
            },
            served: self.served(&key)?,
            held: slot_key.is_some_and(|key| policy.held.contains_key(&key)),
            groups,
        };
        lines.keys.insert(key, line);
        Ok(())
    }

    /// Returns the first key after `last` that has a waiting process. If `last` is `None`, starts with the first key.
    fn next_key(&self, last: Option<&str>) -> Result<Option<String>, StepAbort> {
        let after = if last.is_some() { "AND key > ?1" } else { "AND ?1 IS NULL" };
        let sql = format!(
            "SELECT key FROM process INDEXED BY live WHERE slot_state < 3 AND slot_state = 0 {after}
            ORDER BY key LIMIT 1"
        );
        Ok(self.sql(&sql)?.query_row([last], |row| row.get(0)).optional()?)
    }

    /// Returns the group of this key that follows `last`, or the first group if `last` is `None`. Needs at most two
    /// index seeks.
    pub(super) fn next_group_of(
        &self,
        key: &str,
        last: Option<&WaiterGroup>,
    ) -> Result<Option<WaiterGroup>, StepAbort> {
        if let Some(last) = last {
            let next = self
                .sql(
                    "SELECT class, child FROM process INDEXED BY live
                    WHERE slot_state < 3 AND slot_state = 0 AND key = ?1 AND class = ?2 AND child > ?3
                    ORDER BY key, class, child LIMIT 1",
                )?
                .query_row(params![key, last.class, last.child], WaiterGroup::read)
                .optional()?;
            if next.is_some() {
                return Ok(next);
            }
        }
        // Start with the empty name: no class has it, so all classes come after it.
        let class = last.map_or("", |last| &last.class);
        let next = self
            .sql(
                "SELECT class, child FROM process INDEXED BY live
                WHERE slot_state < 3 AND slot_state = 0 AND key = ?1 AND class > ?2 ORDER BY key, class, child LIMIT 1",
            )?
            .query_row([key, class], WaiterGroup::read)
            .optional()?;
        Ok(next)
    }

    /// Returns the number of slots of a key that are in use. Stops counting at `slots`.
    pub(super) fn taken(&self, key: &str, slots: u32) -> Result<u32, StepAbort> {
        let sql = "SELECT count(*) FROM (
            SELECT 1 FROM process INDEXED BY live WHERE slot_state < 3 AND slot_state = 1 AND key = ?1 LIMIT ?2)";
        Ok(self.sql(sql)?.query_row(params![key, slots], |row| row.get(0))?)
    }

    fn served(&self, key: &str) -> Result<u64, StepAbort> {
        let at = self
            .sql("SELECT at FROM served WHERE key = ?1")?
            .query_row([key], |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(at.map_or(0, row::uint))
    }

    pub(super) fn first_of(&self, key: &str, group: &WaiterGroup) -> Result<Option<Rank>, StepAbort> {
        let first = self
            .sql(
                "SELECT priority, seq FROM process INDEXED BY live
                WHERE slot_state < 3 AND slot_state = 0 AND key = ?1 AND class = ?2 AND child = ?3
                ORDER BY priority DESC, seq LIMIT 1",
            )?
            .query_row(params![key, group.class, group.child], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .optional()?;
        let Some((priority, seq)) = first else {
            return Ok(None);
        };
        Ok(Some(Rank { priority: Priority::stored(priority).unwrap_or_default(), seq: Seq(row::uint(seq)) }))
    }
}
