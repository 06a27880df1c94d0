//! A rule about randomly generated process histories: a process holds its slot exactly as long as it is at work.

use super::world::{StoreFixture, descendants_ended, exited, room, spawned};
use crate::fakes::SequentialIds;
use crate::scripts::{self, ProcessScript};
use crate::suite::must;
use longhaul_domain::{
    Action, Input, Observation, Placement, Process, ProcessId, SlotKey, SlotState, State, Status, StopCause,
};
use longhaul_ports::{IdSource, Lease, PageRequest, ProcessFilter, SortOrder, StoreError, StoredProcess};
use proptest::prelude::Strategy;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;
use std::time::Duration;

const LIVES: usize = 100;
const MOVES: usize = 12;
const MAX_CONCURRENT: usize = 10;
const SLOTS: u32 = 3;

/// Many processes run concurrently under a few keys. After every change, the rule checks for each key:
/// - the slot holders are exactly the processes at work, in order of submission,
/// - the number of slot holders does not exceed the number of slots,
/// - the queue contains exactly the waiting processes.
///
/// When all processes have ended, no slot is held.
pub async fn slots_are_correct_after_every_change(world: &StoreFixture) {
    let node = world.node("a").await;
    let (version, mut policy) = must(world.store.policy().await);
    policy.default_slots = SLOTS;
    must(world.store.set_policy(version, &policy).await);
    let mut trace = SlotTrace { to_come: drawn(), ..SlotTrace::default() };
    while trace.step(world, &node).await {
        agrees(world).await;
    }
    assert_eq!(must(world.store.queues(None).await), []);
    for _ in 0..SLOTS {
        world.submit(world.draft().key("k")).await;
    }
    assert_eq!(world.claim(&node).await.len(), usize::try_from(SLOTS).unwrap_or(0));
    let every_way = BTreeSet::from([
        Status::Pending,
        Status::Running,
        Status::Completed,
        Status::Failed,
        Status::Timeout,
        Status::Cancelled,
        Status::Interrupted,
    ]);
    assert_eq!(trace.released_by, every_way, "slots must be released in every possible way");
}

/// The process histories to apply, and every status in which a process freed its slot.
#[derive(Debug, Default)]
struct SlotTrace {
    to_come: Vec<ProcessScript>,
    present: Vec<(ProcessId, ProcessScript)>,
    chance: SequentialIds,
    released_by: BTreeSet<Status>,
}

impl SlotTrace {
    /// Applies one random step. Returns false when all processes have ended.
    async fn step(&mut self, world: &StoreFixture, node: &Lease) -> bool {
        while self.present.len() < MAX_CONCURRENT
            && let Some(life) = self.to_come.pop()
        {
            let mut draft = world.draft();
            draft.spec = life.spec.clone();
            draft.spec.key = Some(must(SlotKey::new(if self.odds(2) { "k" } else { "l" })));
            draft.spec.placement = Placement::Anywhere;
            draft.spec.launch_key = None;
            draft.spec.not_before = None;
            self.present.push((world.submit(draft).await.process.id, life));
        }
        let place = usize::try_from(self.chance.chance().0).unwrap_or(0) % self.present.len().max(1);
        let Some((id, mut life)) = self.present.get(place).cloned() else {
            return false;
        };
        must(world.store.claim(node, &room(node)).await);
        let stored = world.load(id).await;
        if let Some(input) = self.input(world, &stored, &mut life) {
            self.happen(world, &stored, input).await;
            self.present.insert(place, (id, life));
            self.present.remove(place + 1);
        } else {
            self.present.remove(place);
        }
        true
    }

    /// Returns the next input of a process. Returns `None` if the process has ended. Starts and exits are preferred to
    /// random inputs. Without this preference, hardly any command would start and exit before it is stopped.
    fn input(&self, world: &StoreFixture, stored: &StoredProcess, life: &mut ProcessScript) -> Option<Input> {
        if life.moves.is_empty() && stored.process.status().is_ended() {
            return None;
        }
        let likely = match &stored.process.state {
            State::Pending(_) if !self.odds(16) => {
                world.clock.advance(Duration::from_secs(60));
                Some(Input::Tick)
            }
            State::Starting { .. } if !self.odds(4) => Some(spawned(stored)),
            State::Running { .. } | State::Stopping { .. } if self.odds(3) => {
                let timed_out = self.odds(4).then_some(StopCause::Timeout);
                Some(stopped(exited(stored, world.now(), i32::from(self.odds(2))), timed_out))
            }
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => None,
        };
        likely
            .or_else(|| {
                let next = (!life.moves.is_empty()).then(|| life.moves.remove(0));
                next.map(|next| {
                    world.clock.advance(next.pass);
                    next.aimed_at(&stored.process)
                })
            })
            .or_else(|| Some(closing(world, stored)))
    }

    /// Applies an input, unless the domain rules refuse it or only the store can cause it.
    async fn happen(&mut self, world: &StoreFixture, stored: &StoredProcess, input: Input) {
        if matches!(input, Input::Observation(Observation::Claimed { .. }))
            || stored.process.decide(&world.context(), &stored.live_stats, &input).is_err()
        {
            return;
        }
        let change = world.change(stored, input);
        let holds = |process: &Process| process.state.slot_state() == SlotState::Holding;
        if holds(&stored.process) && !holds(&change.next) {
            self.released_by.insert(change.next.status());
        }
        must::<_, StoreError>(world.store.commit(change).await);
    }

    fn odds(&self, one_in: u64) -> bool {
        self.chance.chance().0.is_multiple_of(one_in)
    }
}

fn stopped(mut input: Input, cause: Option<StopCause>) -> Input {
    if let Input::Observation(Observation::Exited { exit, .. }) = &mut input {
        exit.stopped = cause;
    }
    input
}

/// Returns an input that ends the process or brings it closer to its end.
fn closing(world: &StoreFixture, stored: &StoredProcess) -> Input {
    match &stored.process.state {
        State::Stopping { .. } => exited(stored, world.now(), 0),
        State::AwaitingChildren(_) => descendants_ended(),
        State::Pending(_)
        | State::Starting { .. }
        | State::Running { .. }
        | State::Reported { .. }
        | State::Paused { .. }
        | State::CancelRequested { .. }
        | State::Ended(_) => Input::Action(Action::Force { cause: StopCause::Shutdown }),
    }
}

async fn agrees(world: &StoreFixture) {
    let records = all(world).await;
    let queues = must(world.store.queues(None).await);
    for key in ["k", "l"] {
        let standing = |standing: SlotState| -> Vec<&StoredProcess> {
            let ours =
                |stored: &&StoredProcess| stored.process.spec.key.as_ref().map(SlotKey::as_str) == Some(key);
            records
                .iter()
                .filter(ours)
                .filter(|stored| stored.process.head().slot_state == standing)
                .collect()
        };
        let at_work: Vec<_> = standing(SlotState::Holding).iter().map(|stored| stored.process.id).collect();
        let mut waiting = standing(SlotState::Waiting);
        waiting.sort_by_key(|stored| (std::cmp::Reverse(stored.process.priority), stored.seq));
        let waiting: Vec<_> = waiting.iter().map(|stored| stored.process.id).collect();
        let queue = queues.iter().find(|queue| queue.key.as_ref().map(SlotKey::as_str) == Some(key));
        let (holders, waiters) =
            queue.map_or((Vec::new(), Vec::new()), |queue| (queue.holders.clone(), queue.waiters.clone()));
        assert_eq!(holders, at_work, "the holders of {key} are those at work");
        assert_eq!(waiters, waiting, "the waiters of {key} are those who wait");
        assert!(holders.len() <= usize::try_from(SLOTS).unwrap_or(0), "{key} has {} holders", holders.len());
    }
}

async fn all(world: &StoreFixture) -> Vec<StoredProcess> {
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 1000 };
    must(world.store.list(&ProcessFilter::default(), &page).await).processes
}

/// Generates the same histories in every run, so that failures are reproducible.
fn drawn() -> Vec<ProcessScript> {
    let mut runner = TestRunner::deterministic();
    let lives = scripts::lives(MOVES);
    (0..LIVES).map(|_| must(lives.new_tree(&mut runner)).current()).collect()
}
