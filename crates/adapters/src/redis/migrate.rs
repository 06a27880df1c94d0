//! Copies the whole content of a namespace into another store, or the content of another store into a namespace.

use super::RedisStore;
use super::codec::{SEPARATOR, id, name};
use super::failure::corrupt;
use super::node::push_home;
use super::process::NO_OP;
use super::reply::ScriptReply;
use super::script::{IMPORT, IMPORT_EVENTS, IMPORT_METADATA, LuaScript, METADATA, ScriptArgs};
use super::submit::{fingerprint, launch_scope, push_record};
use async_trait::async_trait;
use longhaul_domain::{ActionSeq, LiveStats, Seq, SessionId, SlotKey};
use longhaul_ports::{
    EventCursor, LoggedEvent, Migrate, Queues, RegisteredNode, RetiredLaunchKey, StoreError, StoreMetadata,
    StoredProcess, Tombstone,
};
use longhaul_wire::record;
use std::collections::BTreeMap;

/// Maximum number of bytes that are sent to one script run. A longer run would delay other clients.
const MAX_BATCH_BYTES: usize = 256 * 1024;

#[async_trait]
impl Migrate for RedisStore {
    async fn store_metadata(&self) -> Result<StoreMetadata, StoreError> {
        let mut marks = self.part("marks", "").await?;
        let (pruned_total, last_seq, end) = (marks.number()?, marks.number()?, marks.number()?);
        let nodes = self.members().await?.into_iter();
        Ok(StoreMetadata {
            policy: self.policy().await?,
            nodes: nodes
                .map(|known| RegisteredNode {
                    left: known.has_left(),
                    epoch: known.epoch,
                    facts: known.facts,
                })
                .collect(),
            served: self.served().await?,
            old_keys: self.old_keys().await?,
            tombstones: self.tombstones().await?,
            pruned_total,
            last_seq: Seq(last_seq),
            end: EventCursor(end),
        })
    }

    async fn import_processes(&self, processes: &[StoredProcess]) -> Result<(), StoreError> {
        let pieces = processes.iter().map(|stored| {
            let piece = taken(stored);
            let mut args = ScriptArgs::default();
            args.number(u64::try_from(piece.iter().count()).unwrap_or(u64::MAX));
            args.append(piece);
            args
        });
        self.send(&IMPORT, &ScriptArgs::default(), pieces).await
    }

    async fn import_events(&self, events: &[LoggedEvent]) -> Result<(), StoreError> {
        let pieces = events.iter().map(|logged| {
            let mut args = ScriptArgs::default();
            args.number(logged.cursor.0)
                .bytes(logged.id.as_uuid().as_bytes())
                .number(logged.revision.0)
                .number(logged.index.into())
                .text(&record::encode_event(&logged.event));
            args
        });
        self.send(&IMPORT_EVENTS, &ScriptArgs::default(), pieces).await
    }

    async fn import_metadata(&self, store_metadata: &StoreMetadata) -> Result<(), StoreError> {
        let (version, policy) = &store_metadata.policy;
        let found = self.policy().await?;
        self.set_policy(found.0, policy).await?;
        let nodes = store_metadata.nodes.iter().map(|RegisteredNode { facts, epoch, left }| {
            let mut args = ScriptArgs::default();
            args.text(facts.id.as_str()).text(&facts.boot).text(&facts.version);
            args.number(epoch.0).text(if *left { "1" } else { "0" });
            push_home(&mut args, facts);
            args
        });
        self.send(&IMPORT_METADATA, &sort("nodes"), nodes).await?;
        let served =
            store_metadata.served.iter().map(|key| sort(key.as_ref().map_or("", |key| key.as_str())));
        self.send(&IMPORT_METADATA, &sort("served"), served).await?;
        let old_keys = store_metadata.old_keys.iter().map(|old| {
            let mut args = ScriptArgs::default();
            let print = format!("{:016x}", old.launch);
            args.text(&launch_scope(old.session.as_ref(), &old.key))
                .bytes(&[old.id.as_uuid().as_bytes().as_slice(), print.as_bytes()].concat());
            args
        });
        self.send(&IMPORT_METADATA, &sort("launch"), old_keys).await?;
        let tombstones = store_metadata.tombstones.iter().map(|tombstone| {
            let mut args = ScriptArgs::default();
            args.bytes(tombstone.id.as_uuid().as_bytes()).text(&format!("{:016x}", tombstone.spec));
            args
        });
        self.send(&IMPORT_METADATA, &sort("tombstones"), tombstones).await?;
        let mut marks = sort("marks");
        marks
            .number(version.0)
            .number(store_metadata.pruned_total)
            .number(store_metadata.last_seq.0)
            .number(store_metadata.end.0);
        self.link.write(&IMPORT_METADATA, NO_OP, marks).await.map(drop)
    }
}

impl RedisStore {
    /// Sends a list of arguments in batches of limited size. Each batch starts with the common arguments in `begin`.
    async fn send(
        &self,
        script: &LuaScript,
        begin: &ScriptArgs,
        pieces: impl Iterator<Item = ScriptArgs> + Send,
    ) -> Result<(), StoreError> {
        let (mut together, mut bytes) = (begin.clone(), 0_usize);
        for piece in pieces {
            bytes += piece.iter().map(<[u8]>::len).sum::<usize>();
            together.append(piece);
            if bytes > MAX_BATCH_BYTES {
                let full = std::mem::replace(&mut together, begin.clone());
                self.link.write(script, NO_OP, full).await?;
                bytes = 0;
            }
        }
        self.link.write(script, NO_OP, together).await.map(drop)
    }

    async fn part(&self, what: &str, from: &str) -> Result<ScriptReply, StoreError> {
        let mut args = sort(what);
        args.text(from);
        self.link.read(&METADATA, args).await
    }

    async fn served(&self) -> Result<Vec<Option<SlotKey>>, StoreError> {
        let mut reply = self.part("served", "").await?;
        let mut served = Vec::with_capacity(reply.len());
        while !reply.is_empty() {
            let key = reply.optional_text()?.map(|key| name(&key)).transpose()?;
            served.push((reply.number()?, key));
        }
        served.sort();
        Ok(served.into_iter().map(|(_, key)| key).collect())
    }

    async fn old_keys(&self) -> Result<Vec<RetiredLaunchKey>, StoreError> {
        let mut found = BTreeMap::new();
        let mut from = "0".to_owned();
        loop {
            let mut reply = self.part("launch", &from).await?;
            from = reply.word()?;
            while !reply.is_empty() {
                let old = old_key(&reply.word()?, &reply.bytes()?)?;
                found.insert((old.session.clone(), old.key.clone()), old);
            }
            if from == "0" {
                return Ok(found.into_values().collect());
            }
        }
    }

    async fn tombstones(&self) -> Result<Vec<Tombstone>, StoreError> {
        let mut tombstones = Vec::new();
        loop {
            let mut reply = self.part("tombstones", &tombstones.len().to_string()).await?;
            if reply.is_empty() {
                return Ok(tombstones);
            }
            while !reply.is_empty() {
                tombstones.push(Tombstone { id: id(&reply.bytes()?)?, spec: print(&reply.bytes()?)? });
            }
        }
    }
}

fn sort(what: &str) -> ScriptArgs {
    let mut args = ScriptArgs::default();
    args.text(what);
    args
}

/// Encodes a record for the scripts that import or restore it, in the order of their arguments.
pub(super) fn taken(stored: &StoredProcess) -> ScriptArgs {
    let (process, head) = (&stored.process, stored.process.head());
    let last_wish = stored.pending_actions.iter().map(|(no, _)| *no).max().unwrap_or(ActionSeq(0));
    let mut args = ScriptArgs::default();
    args.bytes(process.id.as_uuid().as_bytes())
        .number(stored.revision.0)
        .number(stored.seq.0)
        .text(stored.owner.as_ref().map_or("", |lease| lease.node.as_str()))
        .number(last_wish.0);
    if stored.live_stats == LiveStats::default() {
        args.text("");
    } else {
        args.text(&record::encode_live_stats(&stored.live_stats));
    }
    match &process.spec.launch_key {
        Some(key) => args
            .text(&launch_scope(process.spec.session.as_ref(), key))
            .text(&fingerprint(&process.spec.launch_part())),
        None => args.text("").text(""),
    };
    let min_reader = record::oldest_reader(&process.spec);
    push_record(&mut args, process, &head, &record::encode_spec(process), min_reader);
    for (no, action) in &stored.pending_actions {
        args.number(no.0).text(&record::encode_pending_action(action));
    }
    args
}

fn old_key(scope: &str, value: &[u8]) -> Result<RetiredLaunchKey, StoreError> {
    let damaged = || corrupt("a launch key has an invalid form");
    let (session, key) = scope.split_once(SEPARATOR).ok_or_else(damaged)?;
    let (raw, launch) = value.split_at_checked(16).ok_or_else(damaged)?;
    let session: Option<SessionId> = if session.is_empty() { None } else { Some(name(session)?) };
    Ok(RetiredLaunchKey { session, key: name(key)?, id: id(raw)?, launch: print(launch)? })
}

fn print(digits: &[u8]) -> Result<u64, StoreError> {
    let print = str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    print.ok_or_else(|| corrupt("a fingerprint has an invalid form"))
}
