//! Queries about the queues of waiting processes.

use super::index::{self, Lane};
use super::key::KeyRange;
use super::transaction::StoreTransaction;
use super::values;
use longhaul_domain::{ProcessId, SlotKey};
use longhaul_ports::{QueueState, SortOrder, StoreError};
use std::collections::BTreeSet;

impl StoreTransaction<'_> {
    pub(crate) async fn queues(&mut self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        let keys: Vec<Option<SlotKey>> = match only {
            Some(key) => vec![Some(key.clone())],
            None => self.queue_keys().await?.into_iter().collect(),
        };
        let of = |range: fn(Option<&SlotKey>) -> KeyRange| -> Vec<KeyRange> {
            keys.iter().map(|key| range(key.as_ref())).collect()
        };
        let all = u32::MAX;
        let holders = self.scan(&of(index::holders_of), SortOrder::OldestFirst, all).await?;
        let waiters = self.scan(&of(index::waiting_of), SortOrder::OldestFirst, all).await?;
        let oldest = self.scan(&of(index::queued_of), SortOrder::OldestFirst, 1).await?;
        let mut queues = Vec::with_capacity(keys.len());
        for (((key, holders), mut waiters), oldest) in keys.into_iter().zip(holders).zip(waiters).zip(oldest)
        {
            // The entries are in the order of their lanes.
            waiters.sort_by_key(|(entry, _)| entry.last_rank());
            let ids = |found: Vec<(_, ProcessId)>| found.into_iter().map(|(_, id)| id).collect::<Vec<_>>();
            queues.push(QueueState {
                slots: key.as_ref().and_then(|key| self.policy.1.slots_of(key)),
                held: key.as_ref().and_then(|key| self.policy.1.held.get(key)).cloned(),
                holders: ids(holders),
                waiters: ids(waiters),
                oldest: oldest.first().and_then(|(entry, _)| entry.time_before_seq()),
                key,
            });
        }
        queues.retain(|queue| !(queue.holders.is_empty() && queue.waiters.is_empty()));
        Ok(queues)
    }

    /// Returns the keys that have a waiting process or a slot holder.
    async fn queue_keys(&mut self) -> Result<BTreeSet<Option<SlotKey>>, StoreError> {
        let mut keys = BTreeSet::new();
        for (key, _) in self.scan_values(&index::all_lanes(), u32::MAX).await? {
            keys.insert(Lane::stored(&key).key.as_deref().map(super::codec::name).transpose()?);
        }
        for (key, _) in self.scan_values(&index::all_taken(), u32::MAX).await? {
            keys.insert(values::slot_key_of(&key)?);
        }
        Ok(keys)
    }
}
