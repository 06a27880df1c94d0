//! Actions on trees: a process together with all its descendants.

use crate::cascade::LIVE;
use crate::detached::run_to_completion;
use crate::engine::{ActionOutcome, Engine};
use crate::error::EngineError;
use longhaul_domain::{Action, Level, NoOpReason, ProcessId, Revision, StopCause};
use longhaul_ports::{ProcessFilter, StoredProcess};
use std::collections::{BTreeMap, HashSet};
use tokio::task::JoinSet;

/// Maximum number of processes that receive an action concurrently.
const MAX_CONCURRENT: usize = 32;

/// Outcome of an action for one process of several.
#[derive(Debug)]
pub struct MemberOutcome {
    /// Id of the process that received the action.
    pub id: ProcessId,
    /// Outcome of the action for this process.
    pub outcome: Result<ActionOutcome, EngineError>,
}

impl Engine {
    /// Terminates a process and all its descendants, and accepts no new descendants. Returns when the termination is
    /// stored durably.
    ///
    /// An ended process can also be terminated, as long as it has live descendants.
    ///
    /// # Errors
    /// As for [`command`](Self::command).
    pub async fn terminate(
        &self,
        id: ProcessId,
        force: bool,
        expected: Option<Revision>,
    ) -> Result<ActionOutcome, EngineError> {
        // A live process of this node is terminated even if the store cannot be reached.
        if !self.core.owned.knows(id)
            && let Some(stored) = self.is_over_with_all_below(id).await?
        {
            return match expected {
                Some(expected) if expected != stored.revision => {
                    Err(EngineError::RevisionMoved { id, found: stored.revision })
                }
                Some(_) | None => {
                    Ok(ActionOutcome { stored, changed: false, note: Some(NoOpReason::AlreadyEnded) })
                }
            };
        }
        self.command(id, Action::Terminate { cause: StopCause::User, force }, expected).await
    }

    /// Terminates every live process of one level, together with its descendants. If `tree` is given, only the tree
    /// that contains this process is affected; otherwise, all trees are.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown process; [`EngineError::Store`] if the store cannot be read.
    pub async fn terminate_level(
        &self,
        level: Level,
        tree: Option<ProcessId>,
        force: bool,
    ) -> Result<Vec<MemberOutcome>, EngineError> {
        let mut filter =
            ProcessFilter { statuses: LIVE.to_vec(), level: Some(level), ..ProcessFilter::default() };
        let mut ids = Vec::new();
        match tree {
            Some(member) => {
                let root = self.process(member).await?.process.lineage.root(member);
                if level == Level(0) {
                    ids.push(root);
                } else {
                    filter.ancestor = Some(root);
                    ids.extend(ids_of(self.core.all(&filter).await?));
                }
            }
            None => ids.extend(ids_of(self.core.all(&filter).await?)),
        }
        let (engine, command) = (self.clone(), Action::Terminate { cause: StopCause::User, force });
        run_to_completion(async move { Ok(engine.tell(ids, &command).await) }).await
    }

    /// Pauses a process and all its live descendants, starting with the process itself. Returns the outcome for each
    /// process.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id; [`EngineError::Store`] if the store cannot be read.
    pub async fn pause_tree(&self, id: ProcessId) -> Result<Vec<MemberOutcome>, EngineError> {
        let engine = self.clone();
        run_to_completion(async move { engine.apply_to_tree(id, &Action::Pause).await }).await
    }

    /// Resumes a process and all its live descendants, including descendants that were paused individually. Returns the
    /// outcome for each process.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id; [`EngineError::Store`] if the store cannot be read.
    pub async fn resume_tree(&self, id: ProcessId) -> Result<Vec<MemberOutcome>, EngineError> {
        let engine = self.clone();
        run_to_completion(async move { engine.apply_to_tree(id, &Action::Resume).await }).await
    }

    /// Returns a process and all its descendants, live or ended, oldest first.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id.
    pub async fn tree(&self, id: ProcessId) -> Result<Vec<StoredProcess>, EngineError> {
        let mut tree = vec![self.process(id).await?];
        tree.extend(self.core.all(&ProcessFilter { ancestor: Some(id), ..ProcessFilter::default() }).await?);
        Ok(tree)
    }

    /// Returns a process if it has ended and has no live descendants. Returns `None` if it is live or has live
    /// descendants.
    async fn is_over_with_all_below(&self, id: ProcessId) -> Result<Option<StoredProcess>, EngineError> {
        let stored = self.process(id).await?;
        let is_over = stored.process.status().is_ended() && stored.process.cascade.is_none();
        if !is_over || stored.process.may_live_on() || self.core.has_live_below(id).await? {
            return Ok(None);
        }
        Ok(if self.core.orphaned_descendants(id).await?.is_empty() { Some(stored) } else { None })
    }

    /// Applies an action level by level. Repeats this until no new descendants appear, because a process may launch
    /// children until the action reaches it.
    async fn apply_to_tree(
        &self,
        id: ProcessId,
        command: &Action,
    ) -> Result<Vec<MemberOutcome>, EngineError> {
        self.process(id).await?;
        let mut reported = self.tell(vec![id], command).await;
        let mut known = HashSet::from([id]);
        loop {
            let mut by_level: BTreeMap<Level, Vec<ProcessId>> = BTreeMap::new();
            for stored in self.core.live_below(id).await? {
                if known.insert(stored.process.id) {
                    by_level.entry(stored.process.lineage.level()).or_default().push(stored.process.id);
                }
            }
            if by_level.is_empty() {
                return Ok(reported);
            }
            for ids in by_level.into_values() {
                reported.extend(self.tell(ids, command).await);
            }
        }
    }

    /// Applies an action to several processes concurrently. The outcomes are in the order of `ids`.
    pub(crate) async fn tell(&self, ids: Vec<ProcessId>, command: &Action) -> Vec<MemberOutcome> {
        let mut telling = JoinSet::new();
        let mut reported = BTreeMap::new();
        let mut left = ids.iter().copied().enumerate();
        loop {
            while telling.len() < MAX_CONCURRENT
                && let Some((place, id)) = left.next()
            {
                let (engine, command) = (self.clone(), command.clone());
                telling.spawn(async move { (place, engine.command(id, command, None).await) });
            }
            match telling.join_next().await {
                Some(Ok((place, outcome))) => {
                    reported.insert(place, outcome);
                }
                Some(Err(_)) => {}
                None => break,
            }
        }
        let unanswered =
            || Err(EngineError::Broken { what: "an action was dropped before it was finished".to_owned() });
        let answers = ids.into_iter().enumerate();
        answers
            .map(|(place, id)| MemberOutcome {
                id,
                outcome: reported.remove(&place).unwrap_or_else(unanswered),
            })
            .collect()
    }
}

fn ids_of(found: Vec<StoredProcess>) -> impl Iterator<Item = ProcessId> {
    found.into_iter().map(|stored| stored.process.id)
}
