//! Commits changes of process records.

use super::index;
use super::process_row::{ProcessRow, class_of};
use super::transaction::StoreTransaction;
use super::values::{self, OpReply};
use longhaul_domain::{
    ActionSeq, AttemptNo, LiveStats, OpId, PendingAction, Policy, PolicyVersion, ProcessId, Revision,
    SlotState,
};
use longhaul_ports::{
    AttemptKey, Change, Lease, OutputTail, StoreError, StoreRejection, Writer, max_pending_actions,
};
use std::sync::Arc;

impl StoreTransaction<'_> {
    pub(crate) async fn commit_change(&mut self, change: Change) -> Result<Revision, StoreError> {
        self.set_op(change.op);
        if let Some(OpReply::Committed(revision)) = self.reply(&change.op).await? {
            return Ok(revision);
        }
        let id = change.next.id;
        let before = self.row(&id).await?.ok_or(StoreError::Missing { id })?;
        // The revision is checked before the author. If a caller decided on an old record, the only later change may be
        // a claim, so the caller must read the record again.
        if before.stored.revision != change.expected {
            return Err(StoreError::Conflict { found: before.stored.revision });
        }
        self.check_author(&before.stored, &change.author).await?;
        if change.require_no_live_descendants
            && let Some(descendant) = self.ids(index::live_below(&id), 1).await?.pop()
        {
            return Err(StoreError::Refused(StoreRejection::DescendantLives { descendant }));
        }
        let revision = before.stored.revision.next();
        let Change { op, next, events, taken, .. } = change;
        let write = move |row: &mut ProcessRow| {
            row.claimed_until = None;
            row.stored.replace(next, taken);
        };
        let after = self.change(&before, write).await?.slot_state();
        if after == SlotState::Waiting {
            self.notify_of_waiter(&class_of(&before.stored.process.spec)).await?;
        }
        if before.slot_state() == SlotState::Holding && after != SlotState::Holding {
            self.notify_all();
        }
        self.append(id, revision, events);
        self.remember(op, OpReply::Committed(revision));
        Ok(revision)
    }

    pub(crate) async fn enqueue_action(
        &mut self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        self.set_op(op);
        if let Some(OpReply::Enqueued(no)) = self.reply(&op).await? {
            return Ok(no);
        }
        let row = self.row(id).await?.ok_or(StoreError::Missing { id: *id })?;
        let limit = usize::try_from(max_pending_actions(&action)).unwrap_or(usize::MAX);
        if row.stored.pending_actions.len() >= limit {
            return Err(StoreError::Refused(StoreRejection::TooManyPendingActions));
        }
        if let Some(owner) = &row.stored.owner {
            self.notify_one(&owner.node).await?;
        }
        let no = row.last_action.next();
        let enqueue = move |row: &mut ProcessRow| {
            row.last_action = no;
            row.stored.pending_actions.push((no, action));
        };
        self.change(&row, enqueue).await?;
        self.remember(op, OpReply::Enqueued(no));
        Ok(no)
    }

    pub(crate) async fn update_live_stats(
        &mut self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.set_quiet();
        let mut results = Vec::with_capacity(live_stats.len());
        for (id, attempt, live_stats) in live_stats {
            results.push(match self.update_one(by, *id, *attempt, live_stats).await {
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Unknown { .. })) => {
                    return Err(error);
                }
                result => result,
            });
        }
        Ok(results)
    }

    async fn update_one(
        &mut self,
        by: &Writer,
        id: ProcessId,
        attempt: AttemptNo,
        live_stats: &LiveStats,
    ) -> Result<(), StoreError> {
        let row = self.row(&id).await?.ok_or(StoreError::Missing { id })?;
        self.check_author(&row.stored, by).await?;
        if row.stored.process.attempt != attempt || row.slot_state() == SlotState::Ended {
            return Err(StoreError::Conflict { found: row.stored.revision });
        }
        self.change(&row, |row| row.stored.live_stats = live_stats.clone()).await?;
        Ok(())
    }

    pub(crate) fn set_policy(
        &mut self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let found = self.policy.0;
        if found != expected {
            return Err(StoreError::Refused(StoreRejection::StalePolicy { found }));
        }
        self.replace_policy(found.next(), policy);
        self.notify_all();
        Ok(found.next())
    }

    pub(crate) fn replace_policy(&mut self, version: PolicyVersion, policy: &Policy) {
        self.policy = Arc::new((version, policy.clone()));
        self.set_value(values::policy_key(), Some(values::encode_policy(version, policy)));
    }

    /// Stores the output tail of an attempt if leases can expire. If they cannot expire, the whole output stays
    /// available and no tail is needed.
    pub(crate) async fn store_tail(
        &mut self,
        by: &Lease,
        key: AttemptKey,
        tail: &OutputTail,
    ) -> Result<bool, StoreError> {
        let row = self.row(&key.id).await?.ok_or(StoreError::Missing { id: key.id })?;
        self.check_author(&row.stored, &Writer::Owner(by.clone())).await?;
        let counts = self.settings.terms.is_some() && row.stored.process.attempt == key.attempt;
        if counts {
            self.set_value(values::tail_key(&key.id), Some(values::encode_tail(key.attempt, tail)));
        }
        Ok(counts)
    }

    pub(crate) async fn tail(
        &mut self,
        id: &ProcessId,
    ) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        self.value(values::tail_key(id)).await?.as_deref().map(values::decode_tail).transpose()
    }
}
