//! Rules about the order of claims: by priority, then by the key served least recently, then by submission.

use super::draft::SubmissionBuilder;
use super::world::{StoreFixture, ids, never_ran, prioritize, room};
use crate::fakes::SequentialIds;
use crate::suite::{must, some};
use longhaul_domain::admission::{self, Rank, ReadyKey};
use longhaul_domain::{Input, ProcessId};
use longhaul_ports::{ClaimCapacity, IdSource, StoredProcess};
use std::collections::BTreeMap;
use std::time::Duration;

/// A waiting process with a higher priority is claimed first. This applies to processes with the same key and with
/// different keys.
pub async fn a_higher_priority_is_claimed_first(world: &StoreFixture) {
    let node = world.node("a").await;
    let low = world.submit(world.draft().key("k").priority(-5)).await;
    let high = world.submit(world.draft().key("k").priority(5)).await;
    let other = world.submit(world.draft().key("other")).await;
    let none = world.submit(world.draft().priority(1)).await;
    let order = [high, none, other, low].map(|stored| stored.process.id);
    assert_eq!(world.claim_ids(&node).await, order);
}

/// With equal key and priority, the earlier submission is claimed first.
pub async fn the_earlier_submission_is_claimed_first(world: &StoreFixture) {
    let node = world.node("a").await;
    let mut submitted = Vec::new();
    for _ in 0..4 {
        submitted.push(world.submit(world.draft().key("k")).await.process.id);
    }
    assert_eq!(world.claim_ids(&node).await, submitted);
}

/// Among keys whose processes have equal priority, the key that was served least recently comes first. Many waiting
/// processes of one key therefore do not delay the other keys.
pub async fn the_least_recently_served_key_is_claimed_first(world: &StoreFixture) {
    let node = world.node("a").await;
    let mut many = Vec::new();
    for _ in 0..3 {
        many.push(world.submit(world.draft().key("many")).await.process.id);
    }
    let one = world.submit(world.draft().key("one")).await.process.id;
    let claimed = world.claim_ids(&node).await;
    let mut expected = many;
    expected.insert(1, one);
    assert_eq!(claimed, expected);
    let again = world.submit(world.draft().key("many")).await.process.id;
    let first = world.submit(world.draft().key("one")).await.process.id;
    assert_eq!(world.claim_ids(&node).await, [first, again]);
}

/// A process that waits again after a failed attempt keeps its position in the queue.
pub async fn a_retry_keeps_its_position_in_the_queue(world: &StoreFixture) {
    let node = world.node("a").await;
    let first = world.run(world.draft().key("k").retrying(), &node).await;
    let second = world.submit(world.draft().key("k")).await;
    let retrying = world.exit(&first, 1).await;
    assert_eq!(retrying.seq, first.seq);
    world.clock.advance(Duration::from_secs(10));
    let due = must(world.turn(&retrying, Input::Tick).await);
    assert_eq!(due.seq, first.seq);
    assert_eq!(world.claim_ids(&node).await, [first.process.id, second.process.id]);
}

/// A process whose attempt never ran returns to its position in the queue.
pub async fn a_process_that_never_ran_returns_to_its_position(world: &StoreFixture) {
    let node = world.node("a").await;
    let first = world.start(world.draft().key("k"), &node).await;
    let second = world.submit(world.draft().key("k")).await;
    must(world.turn(&first, never_ran(first.process.attempt)).await);
    assert_eq!(world.claim_ids(&node).await, [first.process.id, second.process.id]);
}

/// The domain function `admission::next` always selects the process that is claimed next.
pub async fn the_order_of_claims_follows_the_domain_rule(world: &StoreFixture) {
    let node = world.node("a").await;
    let (version, mut policy) = must(world.store.policy().await);
    policy.slots.insert("k0".to_owned(), 3);
    policy.slots.insert("k1".to_owned(), 0);
    policy.slots.insert("k2".to_owned(), 1);
    must(world.store.set_policy(version, &policy).await);
    let chance = SequentialIds::seeded(99);
    let mut model = OrderModel::default();
    for round in 0..40_u32 {
        for _ in 0..chance.chance().0 % 4 {
            let stored = world.submit(drawn(world, chance.chance().0)).await;
            model.waiters.push(stored);
        }
        if chance.chance().0.is_multiple_of(2)
            && let Some(waiter) = model.waiters.first_mut()
        {
            let priority = i64::try_from(chance.chance().0 % 3).unwrap_or(0);
            *waiter = must(world.turn(waiter, prioritize(priority)).await);
        }
        let one = ClaimCapacity { batch: 1, ..room(&node) };
        let claimed = must(world.store.claim(&node, &one).await);
        let expected = model.next(|key| policy.slots.get(key).copied().filter(|slots| *slots > 0));
        assert_eq!(ids(&claimed).pop(), expected, "in round {round}");
        model.holders.extend(claimed);
        if round % 3 == 2 && !model.holders.is_empty() {
            let leaving = model.holders.remove(0);
            world.exit(&leaving, 0).await;
        }
    }
    assert!(model.claims > 10, "the script has to claim something");
}

fn drawn(world: &StoreFixture, bits: u64) -> SubmissionBuilder {
    let draft = world.draft().priority(i64::try_from((bits >> 8) % 3).unwrap_or(0));
    match bits % 4 {
        0 => draft,
        key => draft.key(&format!("k{}", key - 1)),
    }
}

#[derive(Default)]
struct OrderModel {
    waiters: Vec<StoredProcess>,
    holders: Vec<StoredProcess>,
    served: BTreeMap<Option<String>, u64>,
    claims: u64,
}

impl OrderModel {
    fn next(&mut self, slots: impl Fn(&str) -> Option<u32>) -> Option<ProcessId> {
        let mut lines: BTreeMap<Option<String>, ReadyKey> = BTreeMap::new();
        for waiter in &self.waiters {
            let key = key(waiter);
            let rank = Rank { priority: waiter.process.priority, seq: waiter.seq };
            let held = self.holders.iter().filter(|holder| self::key(holder) == key);
            let line = ReadyKey {
                first: rank,
                served: self.served.get(&key).copied().unwrap_or(0),
                slots: key.as_deref().and_then(&slots),
                taken: u32::try_from(held.count()).unwrap_or(u32::MAX),
                held: false,
            };
            let first = lines.entry(key).or_insert(line);
            first.first = first.first.min(rank);
        }
        let seqs: Vec<_> = lines.iter().map(|(key, line)| ((key.clone(), line.first.seq), *line)).collect();
        let (key, seq) = admission::next(seqs)?;
        self.claims += 1;
        self.served.insert(key, self.claims);
        let place = some(self.waiters.iter().position(|waiter| waiter.seq == seq));
        Some(self.waiters.remove(place).process.id)
    }
}

fn key(stored: &StoredProcess) -> Option<String> {
    stored.process.spec.key.as_ref().map(ToString::to_string)
}
