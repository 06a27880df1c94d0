//! Who is next. The rule itself is [`longhaul_domain::admission`]; here its lines are read from the indexes.

use super::class;
use super::failure::Halt;
use super::ledger::Ledger;
use super::row::{self, Before};
use longhaul_domain::admission::{self, Line, Rank};
use longhaul_domain::{Event, Fact, NodeId, Policy, Priority, Seq, SlotKey, Vitals, Work};
use longhaul_ports::{Lease, Room, Stored};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::{BTreeMap, BTreeSet};

impl Ledger {
    pub(super) fn claim(&mut self, by: &Lease, room: &Room) -> Result<Vec<Stored>, Halt> {
        self.check(by)?;
        let mut queue = Queue {
            classes: room.classes.iter().map(class::of_class).collect(),
            roots: room.roots.saturating_sub(self.roots_of(&by.node)?),
            keys: BTreeMap::new(),
        };
        self.line_up(&mut queue)?;
        let mut claimed = Vec::new();
        while row::count(claimed.len()) < room.batch {
            let Some((key, group, seq)) = queue.next() else {
                break;
            };
            let stored = row::by_seq(&self.connection, seq)?;
            let Some(stored) = stored else { break };
            let is_root = stored.process.lineage.ancestors.is_empty();
            let owned = matches!(stored.process.spec.work, Work::Command(_));
            claimed.push(self.hand_over(stored, by)?);
            if is_root && owned {
                queue.roots = queue.roots.saturating_sub(1);
            }
            let first = self.first_of(&key, &group)?;
            let served = self.served(&key)?;
            queue.served(&key, group, first, served);
        }
        Ok(claimed)
    }

    /// Gives a waiter to a node. Reported work runs elsewhere, so nobody owns it.
    pub(super) fn hand_over(&mut self, stored: Stored, to: &Lease) -> Result<Stored, Halt> {
        let before = Before {
            seq: row::seq_of(&stored),
            revision: stored.revision,
            owner: stored.owner,
            attempt: stored.process.attempt,
            node: stored.process.node.as_ref().map(ToString::to_string),
            due: None,
            standing: row::standing(stored.process.state.standing()),
        };
        let mut process = stored.process;
        let events = [Event {
            at: self.now(),
            fact: Fact::Claimed { attempt: before.attempt.next(), node: to.node.clone() },
        }];
        process.evolve(&events);
        let owner = match &process.spec.work {
            Work::Command(_) => Some(to.clone()),
            Work::Reported(_) => None,
        };
        let revision = before.revision.next();
        row::update(&self.connection, &before, &process, revision, owner.as_ref())?;
        self.append(&process.id, revision, &events)?;
        self.sql(
            "INSERT INTO served (key, at) VALUES (?1, (SELECT coalesce(max(at), 0) + 1 FROM served))
            ON CONFLICT (key) DO UPDATE SET at = excluded.at",
        )?
        .execute([process.spec.key.as_ref().map_or("", |key| key.as_str())])?;
        Ok(Stored {
            process,
            revision,
            seq: stored.seq,
            owner,
            wishes: stored.wishes,
            vitals: Vitals::default(),
        })
    }

    /// The roots that a node holds: what it owns always stands so.
    pub(super) fn roots_of(&self, node: &NodeId) -> Result<u32, Halt> {
        let sql = "SELECT count(*) FROM process WHERE owner_node = ?1 AND child = 0";
        Ok(self.sql(sql)?.query_row([node.as_str()], |row| row.get(0))?)
    }

    /// Reads the first waiter of every group, leaping from group to group.
    fn line_up(&mut self, queue: &mut Queue) -> Result<(), Halt> {
        let policy = self.policy()?.1;
        let mut next = self.next_key(None)?;
        while let Some((key, first)) = next {
            let mut line = self.key_line(&key, &policy)?;
            let mut group = Some(first);
            while let Some(known) = group {
                if queue.classes.contains(&known.class)
                    && let Some(first) = self.first_of(&key, &known)?
                {
                    line.groups.insert(known.clone(), first);
                }
                group = self.next_group_of(&key, Some(&known))?;
            }
            next = self.next_key(Some(&key))?;
            queue.keys.insert(key, line);
        }
        Ok(())
    }

    /// The first group of the key after this one; the first of all without one.
    fn next_key(&self, last: Option<&str>) -> Result<Option<(String, Group)>, Halt> {
        let after = if last.is_some() { "AND key > ?1" } else { "AND ?1 IS NULL" };
        let sql = format!(
            "SELECT class, child, key FROM process INDEXED BY waiting WHERE standing = 0 {after}
            ORDER BY key, class, child LIMIT 1"
        );
        let found =
            self.sql(&sql)?.query_row([last], |row| Ok((row.get(2)?, Group::read(row)?))).optional()?;
        Ok(found)
    }

    /// The group after this one in the same key, found by a leap or two; the first one of the key without one.
    pub(super) fn next_group_of(&self, key: &str, last: Option<&Group>) -> Result<Option<Group>, Halt> {
        if let Some(last) = last {
            let next = self
                .sql(
                    "SELECT class, child FROM process INDEXED BY waiting
                    WHERE standing = 0 AND key = ?1 AND class = ?2 AND child > ?3
                    ORDER BY key, class, child LIMIT 1",
                )?
                .query_row(params![key, last.class, last.child], Group::read)
                .optional()?;
            if next.is_some() {
                return Ok(next);
            }
        }
        // No class has an empty name, so that all come after it.
        let class = last.map_or("", |last| &last.class);
        let next = self
            .sql(
                "SELECT class, child FROM process INDEXED BY waiting
                WHERE standing = 0 AND key = ?1 AND class > ?2 ORDER BY key, class, child LIMIT 1",
            )?
            .query_row([key, class], Group::read)
            .optional()?;
        Ok(next)
    }

    fn key_line(&self, key: &str, policy: &Policy) -> Result<KeyLine, Halt> {
        let slot_key: Option<SlotKey> = match key {
            "" => None,
            key => Some(row::name(key)?),
        };
        let slots = slot_key.as_ref().and_then(|key| policy.slots_of(key));
        let taken = match slots {
            Some(slots) => self.taken(key, slots)?,
            None => 0,
        };
        Ok(KeyLine {
            slots,
            taken,
            served: self.served(key)?,
            held: slot_key.is_some_and(|key| policy.held.contains(&key)),
            groups: BTreeMap::new(),
        })
    }

    /// How many slots of a key are taken; more than there are slots need not be counted.
    pub(super) fn taken(&self, key: &str, slots: u32) -> Result<u32, Halt> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM process WHERE standing = 1 AND key = ?1 LIMIT ?2)";
        Ok(self.sql(sql)?.query_row(params![key, slots], |row| row.get(0))?)
    }

    fn served(&self, key: &str) -> Result<u64, Halt> {
        let at = self
            .sql("SELECT at FROM served WHERE key = ?1")?
            .query_row([key], |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(at.map_or(0, row::uint))
    }

    pub(super) fn first_of(&self, key: &str, group: &Group) -> Result<Option<Rank>, Halt> {
        let first = self
            .sql(
                "SELECT priority, seq FROM process INDEXED BY waiting
                WHERE standing = 0 AND key = ?1 AND class = ?2 AND child = ?3
                ORDER BY priority DESC, seq LIMIT 1",
            )?
            .query_row(params![key, group.class, group.child], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .optional()?;
        let Some((priority, seq)) = first else {
            return Ok(None);
        };
        Ok(Some(Rank { priority: Priority::new(priority).unwrap_or_default(), seq: Seq(row::uint(seq)) }))
    }
}

/// The waiters that a node may run, as far as their first ones are concerned.
struct Queue {
    classes: BTreeSet<String>,
    /// So many more roots may be claimed.
    roots: u32,
    keys: BTreeMap<String, KeyLine>,
}

/// Waiters of one key that may be claimed alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) class: String,
    child: i64,
}

impl Group {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { class: row.get(0)?, child: row.get(1)? })
    }

    pub(super) const fn is_root(&self) -> bool {
        self.child == 0
    }
}

struct KeyLine {
    slots: Option<u32>,
    taken: u32,
    served: u64,
    held: bool,
    groups: BTreeMap<Group, Rank>,
}

impl Queue {
    /// The key, group and sequence of who goes next.
    fn next(&self) -> Option<(String, Group, i64)> {
        let roots_full = self.roots == 0;
        let lines = self.keys.iter().filter_map(|(key, line)| {
            let open = line.groups.iter().filter(|(group, _)| !(roots_full && group.is_root()));
            let (group, first) = open.min_by_key(|(_, first)| **first)?;
            let next = Line {
                first: *first,
                served: line.served,
                slots: line.slots,
                taken: line.taken,
                held: line.held,
            };
            Some(((key, group, first), next))
        });
        let (key, group, first) = admission::next(lines)?;
        Some((key.clone(), group.clone(), row::int(first.seq.0)))
    }

    fn served(&mut self, key: &str, group: Group, first: Option<Rank>, served: u64) {
        if let Some(line) = self.keys.get_mut(key) {
            line.taken = line.taken.saturating_add(1);
            line.served = served;
            match first {
                Some(first) => line.groups.insert(group, first),
                None => line.groups.remove(&group),
            };
        }
    }
}
