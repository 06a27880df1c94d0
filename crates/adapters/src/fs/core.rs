//! The store in memory, with a note of what changed since it was last written.

use super::line::{Extent, Line};
use crate::fingerprint::Fingerprint;
use crate::memory::ledger::{Answer, Ledger, Node, Row};
use longhaul_domain::{
    AttemptNo, LaunchKey, NodeId, OpId, Policy, PolicyVersion, ProcessId, Retention, Revision, SessionId,
    SlotKey, Timestamp, Vitals, Wish, WishNo,
};
use longhaul_ports::{
    Author, Books, Change, Cursor, Lease, Logged, Member, NodeFacts, OldKey, Refusal, Room, StoreError,
    Stored, Submission, Submitted, Swept, Tombstone,
};
use longhaul_wire::record;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The largest specification that is kept, in bytes.
const LARGEST_SPEC: usize = 1024 * 1024;

/// Everything that a store knows.
#[derive(Debug, Default)]
pub(super) struct Core {
    pub(super) ledger: Ledger,
    /// Launch keys whose process was let go: such a key never starts a second copy.
    pub(super) old_keys: BTreeMap<(Option<SessionId>, LaunchKey), OldKey>,
    news: Draft,
}

/// What changed since it was last written.
#[derive(Debug, Default)]
struct Draft {
    rows: BTreeMap<ProcessId, Extent>,
    vitals: BTreeSet<ProcessId>,
    nodes: BTreeSet<NodeId>,
    swept: Vec<(ProcessId, u64)>,
    old_keys: Vec<OldKey>,
    answers: Vec<(OpId, Answer)>,
    policy: bool,
    /// Everything after it is new.
    cursor: Cursor,
    claims: u64,
}

impl Core {
    pub(super) fn submit(&mut self, now: Timestamp, new: Submission) -> Result<Submitted, StoreError> {
        if let Some(existing) = self.bygone(&new) {
            return Ok(existing);
        }
        let bytes = record::encode_spec(&new.process).len();
        if bytes > LARGEST_SPEC {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            return Err(StoreError::Refused(Refusal::TooLarge { bytes }));
        }
        let submitted = self.ledger.submit(now, new)?;
        match &submitted {
            Submitted::Waiting(stored) | Submitted::Claimed(stored) => {
                self.news.rows.insert(stored.process.id, Extent::Whole);
            }
            Submitted::Existing { .. } => {}
        }
        Ok(submitted)
    }

    /// What the ledger has forgotten: the same id, or the same launch key in the same session, of a process that was
    /// let go.
    fn bygone(&self, new: &Submission) -> Option<Submitted> {
        let (id, spec) = (new.process.id, &new.process.spec);
        if self.ledger.stored(&id).is_some() {
            return None;
        }
        if let Some(buried) = self.ledger.buried(new) {
            return Some(buried);
        }
        let old = self.old_keys.get(&(spec.session.clone(), spec.launch_key.clone()?))?;
        let same_spec = old.launch == Fingerprint::of(&spec.launch_part());
        Some(Submitted::Existing { id: old.id, stored: None, same_spec })
    }

    pub(super) fn claim(
        &mut self,
        now: Timestamp,
        by: &Lease,
        room: &Room,
    ) -> Result<Vec<Stored>, StoreError> {
        let claimed = self.ledger.claim(now, by, room)?;
        claimed.iter().for_each(|stored| self.changed(stored.process.id));
        Ok(claimed)
    }

    pub(super) fn commit(&mut self, change: Change) -> Result<Revision, StoreError> {
        let (id, op) = (change.next.id, change.op);
        let repeated = self.ledger.answered(&op).is_some();
        let revision = self.ledger.commit(change)?;
        if !repeated {
            self.changed(id);
            self.news.answers.push((op, Answer::Committed(revision)));
        }
        Ok(revision)
    }

    pub(super) fn wish(&mut self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError> {
        let repeated = self.ledger.answered(&op).is_some();
        let no = self.ledger.wish(id, op, wish)?;
        if !repeated {
            self.changed(*id);
            self.news.answers.push((op, Answer::Wished(no)));
        }
        Ok(no)
    }

    pub(super) fn touch(
        &mut self,
        by: &Author,
        vitals: &[(ProcessId, AttemptNo, Vitals)],
    ) -> Vec<Result<(), StoreError>> {
        let touch = |(id, attempt, vitals): &(ProcessId, AttemptNo, Vitals)| {
            self.ledger.touch(by, *id, *attempt, vitals)?;
            self.news.vitals.insert(*id);
            Ok(())
        };
        vitals.iter().map(touch).collect()
    }

    /// Who has which row for itself need not outlive a restart.
    pub(super) fn attention(
        &mut self,
        now: Timestamp,
        by: &Lease,
        most: u32,
    ) -> Result<Vec<Stored>, StoreError> {
        self.ledger.attention(now, by, most)
    }

    pub(super) fn sweep(&mut self, now: Timestamp, rule: &Retention, most: u32) -> Swept {
        let (gone, more) = self.ledger.let_go(now, rule, most);
        let mut swept = Swept { ids: Vec::new(), more, total: self.ledger.swept };
        for Row { stored, .. } in gone {
            let (id, spec) = (stored.process.id, &stored.process.spec);
            self.news.rows.remove(&id);
            self.news.vitals.remove(&id);
            self.news.swept.push((id, Fingerprint::of(spec)));
            if let Some(key) = spec.launch_key.clone() {
                let launch = Fingerprint::of(&spec.launch_part());
                let old = OldKey { session: spec.session.clone(), key, id, launch };
                self.news.old_keys.push(old.clone());
                self.retire(old);
            }
            swept.ids.push(id);
        }
        swept
    }

    /// Keeps a launch key without its process.
    pub(super) fn retire(&mut self, old: OldKey) {
        let scope = (old.session.clone(), old.key.clone());
        self.ledger.launch_keys.remove(&scope);
        self.old_keys.insert(scope, old);
    }

    pub(super) fn set_policy(
        &mut self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let version = self.ledger.set_policy(expected, policy)?;
        self.news.policy = true;
        Ok(version)
    }

    pub(super) fn register(&mut self, now: Timestamp, me: &NodeFacts) -> Result<Lease, StoreError> {
        let lease = self.ledger.register(now, me)?;
        self.news.nodes.insert(me.id.clone());
        Ok(lease)
    }

    pub(super) fn leave(&mut self, by: &Lease) {
        self.ledger.leave(by);
        self.news.nodes.insert(by.node.clone());
    }

    /// What is kept beside processes and events.
    pub(super) fn books(&self) -> Books {
        let ledger = &self.ledger;
        let mut served: Vec<(u64, Option<SlotKey>)> =
            ledger.served.iter().map(|(key, at)| (*at, key.clone())).collect();
        served.sort();
        let member = |node: &Node| Member { facts: node.facts.clone(), epoch: node.epoch, left: node.left };
        let tombstone = |id: &ProcessId| Some(Tombstone { id: *id, spec: *ledger.tombs.get(id)? });
        Books {
            policy: ledger.policy.clone(),
            nodes: ledger.nodes.values().map(member).collect(),
            served: served.into_iter().map(|(_, key)| key).collect(),
            old_keys: self.old_keys.values().cloned().collect(),
            swept: ledger.tombs_in_order.iter().filter_map(tombstone).collect(),
            swept_total: ledger.swept,
            last_seq: ledger.last_seq,
            end: ledger.last_cursor,
        }
    }

    pub(super) fn take_process(&mut self, stored: Stored) {
        let id = stored.process.id;
        let last_wish = stored.wishes.iter().map(|(no, _)| *no).max().unwrap_or_default();
        self.news.rows.insert(id, Extent::Whole);
        self.ledger.last_seq = self.ledger.last_seq.max(stored.seq);
        self.place(Row { stored, last_wish, handed_until: None, orphaned: None, given: None });
    }

    pub(super) fn take_event(&mut self, logged: Logged) {
        self.ledger.last_cursor = self.ledger.last_cursor.max(logged.cursor);
        self.ledger.log.push_back(logged);
    }

    pub(super) fn take_books(&mut self, books: &Books) {
        let ledger = &mut self.ledger;
        ledger.policy = books.policy.clone();
        self.news.policy = true;
        for member in &books.nodes {
            let Member { facts, epoch, left } = member.clone();
            self.news.nodes.insert(facts.id.clone());
            ledger.nodes.insert(facts.id.clone(), Node { facts, epoch, left, forgotten: false });
        }
        for key in &books.served {
            ledger.claims += 1;
            ledger.served.insert(key.clone(), ledger.claims);
        }
        ledger.swept = books.swept_total;
        ledger.last_seq = ledger.last_seq.max(books.last_seq);
        ledger.last_cursor = ledger.last_cursor.max(books.end);
        for old in &books.old_keys {
            self.news.old_keys.push(old.clone());
            self.retire(old.clone());
        }
        for tombstone in &books.swept {
            self.news.swept.push((tombstone.id, tombstone.spec));
            self.ledger.bury(tombstone.id, tombstone.spec);
        }
    }

    /// Puts a row into the ledger, with all by which it is found.
    pub(super) fn place(&mut self, row: Row) {
        let (id, spec) = (row.stored.process.id, &row.stored.process.spec);
        if let Some(key) = &spec.launch_key {
            let scope = (spec.session.clone(), key.clone());
            self.ledger.launch_keys.insert(scope, (id, Arc::clone(spec)));
        }
        self.ledger.rows.insert(row);
    }

    fn changed(&mut self, id: ProcessId) {
        self.news.rows.entry(id).or_insert(Extent::Change);
    }

    /// Whether anything changed but vitals, which may wait a moment.
    pub(super) fn wants_writing(&self) -> bool {
        let news = &self.news;
        news.policy
            || news.cursor != self.ledger.last_cursor
            || !(news.rows.is_empty()
                && news.nodes.is_empty()
                && news.swept.is_empty()
                && news.old_keys.is_empty()
                && news.answers.is_empty())
    }

    /// Whether anything changed at all.
    pub(super) fn has_news(&self) -> bool {
        self.wants_writing() || !self.news.vitals.is_empty()
    }

    /// What changed since the last time, as it is now.
    pub(super) fn take_news(&mut self) -> Vec<Line> {
        let next = Draft { cursor: self.ledger.last_cursor, claims: self.ledger.claims, ..Draft::default() };
        let news = std::mem::replace(&mut self.news, next);
        let ledger = &self.ledger;
        let mut lines = vec![self.counters()];
        lines.extend(news.nodes.iter().filter_map(|node| ledger.nodes.get(node)).map(Line::node));
        if news.policy {
            lines.push(Line::policy(ledger.policy.0, &ledger.policy.1));
        }
        let served = ledger.served.iter().filter(|(_, at)| **at > news.claims);
        lines.extend(served.map(|(key, at)| Line::served(key.as_ref(), *at)));
        for (id, extent) in &news.rows {
            lines.extend(ledger.rows.get(id).map(|row| Line::process(row, *extent)));
        }
        for id in news.vitals.iter().filter(|id| !news.rows.contains_key(id)) {
            lines.extend(ledger.rows.get(id).map(|row| Line::vitals(&row.stored)));
        }
        lines.extend(news.old_keys.iter().map(Line::launch_key));
        lines.extend(news.swept.iter().map(|(id, spec)| Line::swept(*id, *spec)));
        let fresh = ledger.log.iter().rev().take_while(|logged| logged.cursor > news.cursor);
        let fresh: Vec<Line> = fresh.map(Line::event).collect();
        lines.extend(fresh.into_iter().rev());
        lines.extend(news.answers.iter().map(|(op, answer)| Line::answer(*op, *answer)));
        lines
    }

    pub(super) fn counters(&self) -> Line {
        Line::Counters(super::line::Counters {
            seq: self.ledger.last_seq.0,
            cursor: self.ledger.last_cursor.0,
            claims: self.ledger.claims,
            swept: self.ledger.swept,
        })
    }

    /// Forgets that anything changed: all of it was read from files.
    pub(super) fn as_written(&mut self) {
        self.news = Draft { cursor: self.ledger.last_cursor, claims: self.ledger.claims, ..Draft::default() };
    }
}
