//! Rules about the output tail, which is stored together with a record.

use super::world::StoreFixture;
use crate::suite::{must, refused};
use longhaul_domain::{Retention, Timestamp};
use longhaul_ports::{AttemptKey, OutputChunk, OutputSource, OutputTail, StoreError, StoredProcess};
use std::time::Duration;

fn key(stored: &StoredProcess) -> AttemptKey {
    AttemptKey { id: stored.process.id, attempt: stored.process.attempt }
}

fn tail(total: u64, text: &str) -> OutputTail {
    let offset = total.saturating_sub(text.len() as u64);
    let bytes = text.as_bytes().to_vec();
    let chunk = OutputChunk { offset, source: OutputSource::Stderr, at: Timestamp(5), bytes };
    OutputTail { total, chunks: vec![chunk] }
}

/// An output tail that the owner stores can be loaded by every node, even after the process has ended. It is pruned
/// together with the record.
pub async fn the_output_tail_is_stored_with_the_record(world: &StoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let id = running.process.id;
    assert_eq!(must(world.store.load_tail(id).await), None);
    assert!(must(world.store.store_tail(&node, key(&running), &tail(50, "first")).await));
    assert!(must(world.store.store_tail(&node, key(&running), &tail(90, "\u{1f}last\n")).await));
    let ended = world.exit(&running, 0).await;
    assert_eq!(ended.revision, running.revision.next(), "it is no write of the record");
    assert_eq!(
        must(world.store.load_tail(id).await),
        Some((ended.process.attempt, tail(90, "\u{1f}last\n")))
    );
    world.clock.advance(Duration::from_secs(60));
    let rule = Retention { age: Some(Duration::ZERO), count: None, before: None };
    assert_eq!(must(world.store.prune(&rule, 10).await).ids, [id]);
    assert_eq!(must(world.store.load_tail(id).await), None);
}

/// Only the owner can store an output tail, and only for the latest attempt.
pub async fn only_the_owner_stores_the_output_tail(world: &StoreFixture) {
    let (node, other) = (world.node("a").await, world.node("b").await);
    let running = world.run(world.draft(), &node).await;
    refused!(
        world.store.store_tail(&other, key(&running), &tail(9, "forged")).await,
        StoreError::Fenced { .. }
    );
    let newer = world.node("a").await;
    refused!(
        world.store.store_tail(&node, key(&running), &tail(9, "older")).await,
        StoreError::Fenced { .. }
    );
    let next = AttemptKey { attempt: running.process.attempt.next(), ..key(&running) };
    assert!(!must(world.store.store_tail(&newer, next, &tail(9, "another attempt")).await));
    assert_eq!(must(world.store.load_tail(running.process.id).await), None);
    let stranger = AttemptKey { id: world.draft().id, ..next };
    refused!(world.store.store_tail(&newer, stranger, &tail(9, "x")).await, StoreError::Missing { .. });
}
