//! Copies the complete content of a store.

use super::index;
use super::key::RowKey;
use super::process_row::ProcessRow;
use super::submit::launch_fingerprint;
use super::transaction::StoreTransaction;
use super::values::{self, LaunchKeyValue, NodeRow};
use longhaul_domain::{Seq, SessionId, SlotKey};
use longhaul_ports::{
    EventCursor, LoggedEvent, RegisteredNode, RetiredLaunchKey, StoreError, StoreMetadata, StoredProcess,
    Tombstone,
};

impl StoreTransaction<'_> {
    pub(crate) async fn store_metadata(&mut self) -> Result<StoreMetadata, StoreError> {
        let all = u32::MAX;
        let mut served: Vec<(u64, Option<SlotKey>)> = Vec::new();
        for (key, at) in self.scan_values(&RowKey::of("served").below(), all).await? {
            served.push((values::number(Some(&at))?, values::slot_key_of(&key)?));
        }
        served.sort();
        let mut old_keys = Vec::new();
        for (key, value) in self.scan_values(&RowKey::of("launch").below(), all).await? {
            let LaunchKeyValue { id, launch, retired } = LaunchKeyValue::decode(&value)?;
            if retired {
                let session = Some(key.part(1)).filter(|session| !session.is_empty());
                let session: Option<SessionId> = session.as_deref().map(super::codec::name).transpose()?;
                old_keys.push(RetiredLaunchKey {
                    session,
                    key: super::codec::name(&key.part(2))?,
                    id,
                    launch,
                });
            }
        }
        old_keys.sort_by(|a, b| (&a.session, &a.key).cmp(&(&b.session, &b.key)));
        let order = self.scan_values(&RowKey::of("tombstone-order").below(), all).await?;
        let mut tombstones = Vec::with_capacity(order.len());
        for (_, id) in order {
            let id = super::codec::name(&id)?;
            if let Some(spec) = self.value(values::tombstone_key(&id)).await? {
                tombstones.push(Tombstone { id, spec: values::decode_fingerprint(&spec)? });
            }
        }
        let nodes = self.nodes().await?.into_iter();
        let nodes =
            nodes.map(|node| RegisteredNode { facts: node.facts, epoch: node.epoch, left: node.left });
        Ok(StoreMetadata {
            policy: self.policy.as_ref().clone(),
            nodes: nodes.collect(),
            served: served.into_iter().map(|(_, key)| key).collect(),
            old_keys,
            tombstones,
            pruned_total: self.counters.pruned,
            last_seq: Seq(self.counters.seq),
            end: EventCursor(self.counters.cursor),
        })
    }

    pub(crate) async fn import_processes(&mut self, processes: &[StoredProcess]) -> Result<(), StoreError> {
        for stored in processes {
            self.counters.seq = self.counters.seq.max(stored.seq.0);
            if let Some(key) = index::launch_key(&stored.process) {
                let launch = launch_fingerprint(&stored.process.spec);
                let value = LaunchKeyValue { id: stored.process.id, launch, retired: false };
                self.set_value(key, Some(value.encode()));
            }
            self.put(None, Some(ProcessRow::of(stored.clone()))).await?;
        }
        Ok(())
    }

    pub(crate) fn import_events(&mut self, events: &[LoggedEvent]) {
        for logged in events {
            self.import(logged.clone());
        }
    }

    pub(crate) async fn import_metadata(&mut self, metadata: &StoreMetadata) -> Result<(), StoreError> {
        self.replace_policy(metadata.policy.0, &metadata.policy.1);
        for RegisteredNode { facts, epoch, left } in &metadata.nodes {
            self.set_node(&NodeRow { left: *left, ..NodeRow::of(facts.clone(), *epoch) });
        }
        for key in &metadata.served {
            self.counters.claims = self.counters.claims.saturating_add(1);
            let key = values::served_key(key.as_ref().map(SlotKey::as_str));
            self.set_value(key, Some(self.counters.claims.to_string()));
        }
        for RetiredLaunchKey { session, key, id, launch } in &metadata.old_keys {
            let session = session.as_ref().map(|session| session.as_str());
            let key = RowKey::of("launch").optional(session).name(key.as_str());
            let value = LaunchKeyValue { id: *id, launch: *launch, retired: true };
            self.set_value(key, Some(value.encode()));
        }
        for Tombstone { id, spec } in &metadata.tombstones {
            self.bury(*id, *spec).await?;
        }
        self.counters.pruned = metadata.pruned_total;
        self.counters.seq = self.counters.seq.max(metadata.last_seq.0);
        self.counters.cursor = self.counters.cursor.max(metadata.end.0);
        Ok(())
    }
}
