//! Compares two stores: both must give the same answers to the same requests. Every adapter is compared with the
//! reference store in this way.

use super::store::{StoreFixture, SubmissionBuilder};
use crate::fakes::SequentialIds;
use crate::suite::store::{claimant, exited, never_ran, room, spawned};
use crate::suite::{must, some};
use longhaul_domain::{
    Action, ActionSeq, AttemptNo, ChildrenPolicy, Input, LiveStats, NodeId, Observation, PendingAction,
    Policy, Priority, ProcessId, QueueHold, Retention, SessionId, SessionPolicy, SlotKey, Status, StopCause,
};
use longhaul_ports::{
    Change, ClaimCapacity, ClaimRequest, EventCursor, IdSource, Lease, NodeUpdates, PageKey, PageRequest,
    ProcessFilter, SortOrder, StoreError, StoredProcess, Submission, Writer,
};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

/// Sends the same requests to both stores. The requests are generated from a seed. Panics at the first answer that
/// differs.
///
/// Returns counts of the results, so that the caller can check that the requests had effects.
pub async fn agree(one: &StoreFixture, other: &StoreFixture, seed: u64, steps: u32) -> ScriptTally {
    let mut script = OperationScript::new(one, other, seed);
    script.register("a").await;
    script.register("b").await;
    for step in 0..steps {
        script.step = step;
        script.act().await;
        if step % 16 == 15 {
            script.look().await;
        }
    }
    script.look().await;
    script.tally
}

/// Numbers of successful and refused requests in a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptTally {
    /// Number of accepted submissions.
    pub accepted: usize,
    /// Number of refused submissions.
    pub refused: usize,
    /// Number of claimed processes.
    pub claimed: usize,
    /// Number of successful commits.
    pub written: usize,
    /// Number of refused commits.
    pub unwritten: usize,
    /// Number of due processes that the store handed out.
    pub handed: usize,
    /// Number of pruned records.
    pub pruned: usize,
}

impl ScriptTally {
    /// Adds the counts of two scripts.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            refused: self.refused + other.refused,
            claimed: self.claimed + other.claimed,
            written: self.written + other.written,
            unwritten: self.unwritten + other.unwritten,
            handed: self.handed + other.handed,
            pruned: self.pruned + other.pruned,
        }
    }
}

struct OperationScript<'a> {
    one: &'a StoreFixture,
    other: &'a StoreFixture,
    chance: SequentialIds,
    step: u32,
    known: Vec<ProcessId>,
    leases: BTreeMap<NodeId, Lease>,
    old: Vec<Lease>,
    last: Option<Change>,
    tally: ScriptTally,
}

/// Sends a request to both stores, checks that the answers are equal, and returns the answer.
macro_rules! both {
    ($script:ident, $what:expr, $store:ident => $ask:expr) => {{
        let one = {
            let $store = &$script.one.store;
            $ask.await
        };
        let other = {
            let $store = &$script.other.store;
            $ask.await
        };
        assert_eq!(shown(&one), shown(&other), "step {}: both stores were asked for {}", $script.step, $what);
        one
    }};
}

impl<'a> OperationScript<'a> {
    fn new(one: &'a StoreFixture, other: &'a StoreFixture, seed: u64) -> Self {
        Self {
            one,
            other,
            chance: SequentialIds::seeded(seed),
            step: 0,
            known: Vec::new(),
            leases: BTreeMap::new(),
            old: Vec::new(),
            last: None,
            tally: ScriptTally::default(),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.chance.chance().0 % below
    }

    fn odds(&self, one_in: u64) -> bool {
        self.draw(one_in) == 0
    }

    /// Returns a random lease. Most of the returned leases are valid.
    fn lease(&self) -> Lease {
        let old = self.old.last().filter(|_| self.odds(12));
        let present = || self.leases.values().nth(usize::try_from(self.draw(2)).unwrap_or(0));
        some(old.or_else(present)).clone()
    }

    fn id(&self) -> Option<ProcessId> {
        let count = u64::try_from(self.known.len()).unwrap_or(0);
        if count == 0 {
            return None;
        }
        // Mostly chooses one of the latest processes, so that processes advance.
        let back = self.draw(if self.odds(4) { count } else { count.min(8) });
        self.known.iter().rev().nth(usize::try_from(back).unwrap_or(0)).copied()
    }

    async fn act(&mut self) {
        match self.draw(24) {
            0..=4 => self.submit().await,
            5..=8 => self.claim().await,
            9..=16 => self.turn().await,
            17 => self.enqueue_action().await,
            18 => self.update_live_stats().await,
            19 => self.attend().await,
            20 => self.sweep().await,
            21 => self.set_policy().await,
            22 => {
                let name = if self.odds(2) { "a" } else { "b" };
                if self.odds(4) {
                    self.register(name).await;
                }
            }
            _ => {
                let span = Duration::from_millis(self.draw(4_000));
                self.one.clock.advance(span);
                self.other.clock.advance(span);
            }
        }
    }

    async fn register(&mut self, name: &str) {
        let lease = self.one.node(name).await;
        assert_eq!(lease, self.other.node(name).await);
        self.old.extend(self.leases.insert(lease.node.clone(), lease));
    }

    async fn submit(&mut self) {
        let new = self.submission().await;
        self.known.push(new.process.id);
        let answer = both!(self, format!("{new:?}"), store => store.submit(new.clone()));
        match answer {
            Ok(_) => self.tally.accepted += 1,
            Err(_) => self.tally.refused += 1,
        }
        if self.odds(8) {
            both!(self, "the same again", store => store.submit(new.clone())).ok();
        }
    }

    async fn submission(&self) -> Submission {
        let mut draft =
            SubmissionBuilder::new(self.chance.process()).priority(i64::try_from(self.draw(3)).unwrap_or(0));
        if !self.odds(3) {
            draft = draft.key(if self.odds(2) { "k" } else { "l" });
        }
        draft = match self.draw(6) {
            0 => draft.reported(),
            1 => draft.reported_in_queue(),
            2 => draft.retrying(),
            3 => draft.not_before(self.one.now().plus(Duration::from_millis(self.draw(5_000)))),
            _ => draft,
        };
        if self.odds(3) {
            draft.spec.children = if self.odds(2) { ChildrenPolicy::Wait } else { ChildrenPolicy::Cancel };
        }
        if self.odds(3) {
            draft = draft.session(if self.odds(2) { "s" } else { "t" });
        }
        if self.odds(8) {
            draft = draft.launch_key(if self.odds(2) { "x" } else { "y" });
        }
        if self.odds(3)
            && let Some(parent) = self.parent().await
        {
            draft = draft.child_of(&parent);
        }
        if self.odds(3) {
            let roots = u32::try_from(self.draw(4)).unwrap_or(0);
            draft = draft.claimed_for(ClaimRequest { roots, ..claimant(&self.lease()) });
        }
        if self.odds(6) && draft.claim_for.is_some() {
            draft = draft.or_refused();
        }
        self.one.submission(draft).await
    }

    async fn parent(&self) -> Option<StoredProcess> {
        let id = self.id()?;
        must(self.one.store.load(&[id]).await).pop().flatten()
    }

    async fn claim(&mut self) {
        let lease = self.lease();
        let room = ClaimCapacity {
            roots: u32::try_from(self.draw(6)).unwrap_or(0),
            batch: 1 + u32::try_from(self.draw(3)).unwrap_or(0),
            ..room(&lease)
        };
        let what = format!("a claim of {lease:?} with {room:?}");
        let claimed = both!(self, what, store => store.claim(&lease, &room));
        self.tally.claimed += claimed.map_or(0, |claimed| claimed.len());
    }

    async fn turn(&mut self) {
        let Some(id) = self.id() else { return };
        let loaded = both!(self, format!("the record of {id}"), store => store.load(&[id]));
        let Some(stored) = must(loaded).pop().flatten() else { return };
        let input = self.input(&stored);
        if stored.process.decide(&self.one.context(), &stored.live_stats, &input).is_err() {
            return;
        }
        let mut change = self.one.change(&stored, input);
        change.op = self.chance.op();
        change.taken = stored.pending_actions.first().map_or(ActionSeq(0), |(no, _)| *no);
        change.require_no_live_descendants = self.odds(4);
        match self.draw(16) {
            0 => change.author = Writer::Anyone,
            1 => change.author = Writer::Owner(self.lease()),
            2 => change.expected = change.expected.next(),
            3 => {
                if let Some(last) = &self.last {
                    change = last.clone();
                }
            }
            _ => {}
        }
        match both!(self, format!("{change:?}"), store => store.commit(change.clone())) {
            Ok(_) => self.tally.written += 1,
            Err(_) => self.tally.unwritten += 1,
        }
        self.last = Some(change);
    }

    fn input(&self, stored: &StoredProcess) -> Input {
        let user = StopCause::User;
        if self.odds(4) {
            return self.asked_of_any();
        }
        match (stored.process.status(), self.draw(8)) {
            (Status::Pending, 0) | (Status::Running | Status::Paused, 0) => {
                Input::Action(Action::Cancel { cause: user })
            }
            (Status::Running, 1) => Input::Action(Action::Pause),
            (Status::Running, 2) => Input::Action(Action::Complete { result: None }),
            (Status::Paused, 1..=4) => Input::Action(Action::Resume),
            (Status::Pending, 1) => Input::Action(Action::RetryNow),
            (Status::Pending, _) => Input::Tick,
            (Status::Starting, 0) => never_ran(stored.process.attempt),
            (Status::Starting, _) => spawned(stored),
            (_, 3) => Input::Observation(Observation::OwnerLost),
            (_, place) => exited(stored, self.one.now(), i32::from(place > 5)),
        }
    }

    /// Returns an input that is possible in every state of a process. It concerns the descendants, the session, or the
    /// position in a queue.
    fn asked_of_any(&self) -> Input {
        match self.draw(8) {
            0 => Input::Action(Action::Terminate { cause: StopCause::User, force: self.odds(2) }),
            1 | 2 => Input::Observation(Observation::DescendantsEnded),
            3 => Input::Action(Action::EndSession { policy: self.session_policy() }),
            _ => {
                let value = i64::try_from(self.draw(5)).unwrap_or(0);
                Input::Action(Action::Prioritize { priority: must(Priority::new(value)) })
            }
        }
    }

    fn session_policy(&self) -> Option<SessionPolicy> {
        match self.draw(4) {
            0 => None,
            1 => Some(SessionPolicy::Keep),
            2 => Some(SessionPolicy::Cancel),
            _ => Some(SessionPolicy::Grace(Duration::from_millis(self.draw(5_000)))),
        }
    }

    async fn enqueue_action(&mut self) {
        let Some(id) = self.id() else { return };
        let op = self.chance.op();
        let action = match self.draw(4) {
            0 => PendingAction::Terminate { cause: StopCause::Session, force: self.odds(2) },
            1 => PendingAction::EndSession { policy: self.session_policy() },
            _ => PendingAction::Pause,
        };
        both!(self, format!("a wish for {id}"), store => store.enqueue_action(&id, op, action)).ok();
    }

    async fn update_live_stats(&mut self) {
        let Some(id) = self.id() else { return };
        let by = if self.odds(3) { Writer::Anyone } else { Writer::Owner(self.lease()) };
        let attempt = AttemptNo(u32::try_from(self.draw(3)).unwrap_or(0));
        let told = [(id, attempt, LiveStats { output_bytes: self.draw(1000), ..LiveStats::default() })];
        both!(self, format!("a touch of {id}"), store => touched(store.update_live_stats(&by, &told))).ok();
    }

    async fn attend(&mut self) {
        let lease = self.lease();
        let handed = both!(self, "attention", store => store.claim_due(&lease, 3));
        self.tally.handed += handed.map_or(0, |handed| handed.len());
    }

    async fn sweep(&mut self) {
        let rule = Retention {
            age: Some(Duration::from_secs(self.draw(60))),
            count: Some(self.draw(20)),
            before: self.odds(4).then(|| self.one.now()),
        };
        let limit = if self.odds(4) { 0 } else { 2 };
        let pruned = both!(self, "a sweep", store => store.prune(&rule, limit));
        self.tally.pruned += pruned.map_or(0, |pruned| pruned.ids.len());
    }

    async fn set_policy(&mut self) {
        let (version, mut policy): (_, Policy) = must(self.one.store.policy().await);
        policy.slots.insert("k".to_owned(), u32::try_from(self.draw(4)).unwrap_or(0));
        let held = must(SlotKey::new("l"));
        if self.odds(3) {
            policy.held.insert(held, QueueHold { since: self.one.now(), by: Some("someone".to_owned()) });
        } else {
            policy.held.remove(&held);
        }
        both!(self, "a policy", store => store.set_policy(version, &policy)).ok();
    }

    /// Compares the complete visible state of both stores.
    async fn look(&mut self) {
        for order in [SortOrder::NewestFirst, SortOrder::OldestFirst] {
            let mut after: Option<PageKey> = None;
            loop {
                let page = PageRequest { order, after, limit: 7 };
                let listing =
                    must(both!(self, "a page", store => store.list(&ProcessFilter::default(), &page)));
                after = listing.next;
                if after.is_none() {
                    break;
                }
            }
        }
        let statuses = vec![Status::Pending, Status::Running];
        let filter =
            ProcessFilter { statuses, level: Some(longhaul_domain::Level(0)), ..ProcessFilter::default() };
        let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 1000 };
        both!(self, "a filtered page", store => store.list(&filter, &page)).ok();
        let session = Some(must(SessionId::new("s")));
        let filter = ProcessFilter { session, ..ProcessFilter::default() };
        both!(self, "a session", store => store.list(&filter, &page)).ok();
        both!(self, "the queues", store => store.queues(None)).ok();
        both!(self, "the policy", store => store.policy()).ok();
        both!(self, "the nodes", store => store.nodes()).ok();
        let lease = self.lease();
        both!(self, "a beat", store => beaten(store.renew_lease(&lease))).ok();
        let end = must(both!(self, "the end", store => store.end()));
        let after = EventCursor(end.0.saturating_sub(200));
        both!(self, "the latest events", store => store.read(Some(after), 1000, false)).ok();
    }
}

/// Formats an answer for comparison. A value or a refusal is shown completely; any other error is shown only by its
/// kind.
fn shown<T: Debug>(answer: &Result<T, StoreError>) -> String {
    match answer {
        Ok(value) => format!("{value:#?}"),
        Err(StoreError::Refused(refusal)) => format!("{refusal:?}"),
        Err(error) => kind(error),
    }
}

fn kind(error: &StoreError) -> String {
    let whole = format!("{error:?}");
    whole.split([' ', '(']).next().unwrap_or_default().to_owned()
}

async fn touched(
    answers: impl Future<Output = Result<Vec<Result<(), StoreError>>, StoreError>>,
) -> Result<Vec<Result<(), String>>, StoreError> {
    let answers = answers.await?;
    Ok(answers.into_iter().map(|answer| answer.map_err(|error| kind(&error))).collect())
}

/// Normalises the due time in the answer to a lease renewal: a past due time counts as now.
async fn beaten(
    answer: impl Future<Output = Result<NodeUpdates, StoreError>>,
) -> Result<NodeUpdates, StoreError> {
    let calls = answer.await?;
    Ok(NodeUpdates { due: calls.due.map(|due| due.max(calls.now)), ..calls })
}
