//! Restarts interrupted processes at the request of a user, for example after a crash or a reboot.

use crate::detached::run_to_completion;
use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use crate::launch::LaunchOutcome;
use longhaul_domain::{
    Action, LaunchKey, Lineage, Process, ProcessId, ProjectName, Spec, State, Status, Work,
};
use longhaul_ports::{ProcessFilter, StoredProcess};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Selects the interrupted processes that a restart applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartScope<'a> {
    /// Every interrupted command, except those that [`InterruptedRestart::skipped`] lists.
    All,
    /// The interrupted commands of one project.
    OfProject(&'a ProjectName),
    /// The given processes, even if they were cancelled or restarted after the interruption.
    These(&'a [ProcessId]),
}

/// Options for a restart of interrupted processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterruptedRestartOptions {
    /// True to also restart children whose restarted launcher has ended without launching them again. A live launcher
    /// may still launch these children, and a restart would then make them run twice.
    pub with_children: bool,
    /// True to start nothing and only report the processes that would be restarted.
    pub dry_run: bool,
}

/// Result of a restart of interrupted processes.
#[derive(Clone, Debug, Default)]
pub struct InterruptedRestart {
    /// The processes that were started as restarts, oldest first.
    pub launched: Vec<LaunchOutcome>,
    /// With `dry_run`: the interrupted processes that would be restarted, oldest first.
    pub planned: Vec<StoredProcess>,
    /// The processes that were skipped, oldest first. Processes that were restarted earlier are not listed.
    pub skipped: Vec<SkippedRestart>,
}

/// A process that was not restarted.
#[derive(Clone, Debug)]
pub struct SkippedRestart {
    /// The process that was skipped.
    pub stored: StoredProcess,
    /// The reason why the process was skipped.
    pub reason: SkipReason,
}

/// Reason why an interrupted process was not restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// An ancestor that launched the process, directly or indirectly, is being restarted or was restarted earlier.
    /// longhaul expects that the ancestor launches the process again. With
    /// [`with_children`](InterruptedRestartOptions), this reason applies only until the restarted ancestor has ended.
    AncestorRestarted {
        /// The ancestor that is being restarted or was restarted.
        ancestor: ProcessId,
    },
    /// A restarted ancestor has already launched a replacement of the process.
    Replaced {
        /// The replacement.
        by: ProcessId,
    },
    /// The process was cancelled after it was recorded as interrupted.
    Cancelled,
    /// The exit of the process was reported after the process was recorded as interrupted.
    EndKnown,
    /// The process is reported work, which only its reporter can start again.
    Reported,
    /// The manager has not determined yet whether the process is still running.
    Unexamined,
    /// The launch of the new process failed.
    LaunchFailed {
        /// The error message of the launch.
        error: String,
    },
}

impl Engine {
    /// Restarts interrupted processes, each as a new process. A repeated call does not start a process twice. If the
    /// processes are given by id, the repeated call returns the processes that the first call started.
    ///
    /// A process is skipped if the command of another restarted process had launched it, because that command launches
    /// it again. A child that was attached from outside is restarted.
    ///
    /// # Errors
    /// Before any start:
    /// - [`EngineError::Invalid`] if one of the given ids was not interrupted.
    /// - [`EngineError::Rejected`] if a given process has not ended, or is reported work.
    ///
    /// Afterwards, the first launch error, if processes were given by id or no process could be launched.
    pub async fn restart_interrupted(
        &self,
        revived: RestartScope<'_>,
        options: InterruptedRestartOptions,
    ) -> Result<InterruptedRestart, EngineError> {
        let engine = self.clone();
        let named = match revived {
            RestartScope::These(ids) => Some(self.named(ids).await?),
            RestartScope::OfProject(_) | RestartScope::All => None,
        };
        let project = match revived {
            RestartScope::OfProject(project) => Some(project.clone()),
            RestartScope::These(_) | RestartScope::All => None,
        };
        run_to_completion(async move {
            let is_named = named.is_some();
            let mut choice = match named {
                // A process that is given by id is restarted even if an ancestor has already launched a replacement.
                Some(candidates) if !options.with_children => RestartSelection { candidates, ..RestartSelection::default() },
                Some(candidates) => {
                    RestartSelection { candidates, skipped: Vec::new(), ..engine.interrupted(None).await? }
                }
                None => engine.interrupted(project.as_ref()).await?,
            };
            choice.decide(is_named, options.with_children);
            let RestartSelection { candidates, mut skipped, mut restarted, .. } = choice;
            if options.dry_run {
                return Ok(InterruptedRestart { planned: candidates, skipped, ..InterruptedRestart::default() });
            }
            let (mut launched, mut failed) = (Vec::new(), None);
            for stored in candidates {
                let process = &stored.process;
                let parent = process.lineage.ancestors.last().and_then(|old| latest_restart(&restarted, *old));
                let parent = match parent {
                    Some(id) => engine.core.load(id).await.ok(),
                    None => None,
                };
                match engine.core.run_once_more(process, parent.as_ref()).await {
                    Ok(one) => {
                        restarted.insert(process.id, one.stored.process.id);
                    // If no ids were given, only processes that this call itself started are reported.
                        if is_named || one.created {
                            launched.push(one);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(id = %stored.process.id, %error, "could not restart an interrupted process");
                        let reason = SkipReason::LaunchFailed { error: error.to_string() };
                        skipped.push(SkippedRestart { stored, reason });
                        failed.get_or_insert(error);
                    }
                }
            }
            match failed {
                // If no ids were given, a failed launch does not prevent the other launches.
                Some(error) if is_named || launched.is_empty() => Err(error),
                Some(_) | None => Ok(InterruptedRestart { launched, skipped, ..InterruptedRestart::default() }),
            }
        })
        .await
    }

    /// Returns every interrupted command as a candidate, together with the processes that are always skipped.
    async fn interrupted(&self, project: Option<&ProjectName>) -> Result<RestartSelection, EngineError> {
        let mut choice = RestartSelection::default();
        let (mut restarts, mut launched) = (BTreeSet::new(), Vec::new());
        let core = &self.core;
        core.each(&ProcessFilter::default(), |stored| {
            let process = &stored.process;
            if let Some(old) = process.lineage.restarted_from {
                choice.restarted.insert(old, process.id);
                restarts.insert(process.id);
            }
            // The listing contains a launcher before the processes that it launched.
            if process.lineage.launchers().iter().any(|above| restarts.contains(above)) {
                launched.push((process.id, process.lineage.clone(), process.spec.clone()));
            }
            if process.status() == Status::Interrupted {
                choice.interrupted.insert(process.id);
            }
            if !process.status().is_ended() {
                choice.live.insert(process.id);
            }
            if project.is_some() && process.spec.project.as_ref() != project {
                return;
            }
            let reason = match (&process.spec.work, process.status()) {
                _ if self.is_unexamined(&stored) => SkipReason::Unexamined,
                (Work::Reported(_), Status::Interrupted) => SkipReason::Reported,
                (Work::Command(_), Status::Interrupted) => return choice.candidates.push(stored),
                (Work::Command(_) | Work::Reported(_), _) => return,
            };
            choice.skipped.push(SkippedRestart { stored, reason });
        })
        .await?;
        choice.replaced = choice.replacements(&launched);
        Ok(choice)
    }

    /// Returns the processes with the given ids.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if one of these processes was not interrupted.
    async fn named(&self, ids: &[ProcessId]) -> Result<Vec<StoredProcess>, EngineError> {
        let mut named = Vec::new();
        for id in ids.iter().copied() {
            let stored = self.command(id, Action::Restart, None).await?.stored;
            let process = &stored.process;
            if process.status() != Status::Interrupted {
                return Err(EngineError::Invalid {
                    what: "process",
                    why: format!("process {id} is not interrupted but {}", process.status()),
                    help: Some(format!("`longhaul restart {}` restarts the process anyway", id.short())),
                });
            }
            named.push(stored);
        }
        // Sort by sequence number, because ancestors then come before their descendants.
        named.sort_by_key(|stored| stored.seq);
        named.dedup_by_key(|stored| stored.seq);
        Ok(named)
    }
}

impl EngineShared {
    /// Restarts a process at most one time: the launch key is derived from the id of the old process.
    async fn run_once_more(
        self: &Arc<Self>,
        old: &Process,
        parent: Option<&StoredProcess>,
    ) -> Result<LaunchOutcome, EngineError> {
        match self.run_again(old, key_for(old.id), parent).await {
            // The specs can differ although this is the same restart, because the defaults that a launch fills in may
            // have changed since the first restart.
            Err(conflict @ EngineError::KeyConflict { holder, .. }) => {
                let stored = self.load(holder).await?;
                if stored.process.lineage.restarted_from != Some(old.id) {
                    return Err(conflict);
                }
                Ok(LaunchOutcome { stored, created: false })
            }
            other => other,
        }
    }
}

/// Selection of the processes to restart, oldest first.
#[derive(Debug, Default)]
struct RestartSelection {
    candidates: Vec<StoredProcess>,
    skipped: Vec<SkippedRestart>,
    /// Ids of all interrupted processes.
    interrupted: BTreeSet<ProcessId>,
    /// Ids of all processes that have not ended.
    live: BTreeSet<ProcessId>,
    /// The processes that were restarted earlier, each mapped to the process that the restart created.
    restarted: BTreeMap<ProcessId, ProcessId>,
    /// The candidates that have a replacement, each mapped to the process that replaces it. The restart of an ancestor
    /// launched that process.
    replaced: BTreeMap<ProcessId, ProcessId>,
}

impl RestartSelection {
    /// Moves candidates to `skipped` if they must not be restarted or if a restarted ancestor launches them again.
    fn decide(&mut self, is_named: bool, with_children: bool) {
        let mut chosen: BTreeSet<ProcessId> = BTreeSet::new();
        let candidates = std::mem::take(&mut self.candidates);
        // If a launcher was restarted, its new process comes after the children of its old process in the list. Collect
        // all processes that may be restarted first, because the decision about the children depends on whether the new
        // process is one of them.
        let mut awaited = self.live.clone();
        let chosen_later = |stored: &&StoredProcess| is_named || skip_reason(&stored.process).is_none();
        awaited.extend(candidates.iter().filter(chosen_later).map(|stored| stored.process.id));
        for stored in candidates {
            let process = &stored.process;
            let replacement = self.replaced.get(&process.id).copied();
            // Without `with_children`, a process that has a replacement counts as restarted.
            let is_restarted =
                self.restarted.contains_key(&process.id) || (replacement.is_some() && !with_children);
            if is_restarted && !is_named {
                continue;
            }
            let mut launchers = process.lineage.launchers().iter().rev().copied();
            let restarted = launchers.find(|above| chosen.contains(above) || self.is_restarted(above));
            let is_launcher_awaited = || {
                let mut launchers = process.lineage.launchers().iter();
                launchers.any(|above| chosen.contains(above) || self.has_restart_in(above, &awaited))
            };
            let reason = match (skip_reason(process), replacement, restarted) {
                (Some(reason), _, _) if !is_named => reason,
                (_, Some(by), _) => SkipReason::Replaced { by },
                (_, None, Some(ancestor)) if !with_children || is_launcher_awaited() => {
                    SkipReason::AncestorRestarted { ancestor }
                }
                (_, None, Some(_) | None) => {
                    chosen.insert(process.id);
                    self.candidates.push(stored);
                    continue;
                }
            };
            self.skipped.push(SkippedRestart { stored, reason });
        }
        self.skipped.sort_by_key(|skipped| skipped.stored.seq);
    }

    /// Returns true if a process was interrupted and has been restarted earlier.
    fn is_restarted(&self, id: &ProcessId) -> bool {
        self.interrupted.contains(id) && self.restarted.contains_key(id)
    }

    /// Returns true if the process was interrupted and one of its restarts is in `awaited`.
    fn has_restart_in(&self, id: &ProcessId, awaited: &BTreeSet<ProcessId>) -> bool {
        self.interrupted.contains(id) && self.restarts_of(*id).any(|restart| awaited.contains(&restart))
    }

    /// Assigns to candidates the processes that restarts of their ancestors launched. Each launched process replaces
    /// one candidate.
    fn replacements(&self, launched: &[(ProcessId, Lineage, Arc<Spec>)]) -> BTreeMap<ProcessId, ProcessId> {
        let (mut replaced, mut taken) = (BTreeMap::new(), BTreeSet::new());
        let mut candidates: Vec<&Process> = self.candidates.iter().map(|stored| &stored.process).collect();
        // Candidates that were already restarted come last.
        candidates.sort_by_key(|process| self.restarted.contains_key(&process.id));
        // Names are compared first, because processes with different names may run the same command.
        let ways: [fn(&Spec, &Spec) -> bool; 2] = [same_name, Spec::same_launch];
        for is_same in ways {
            for process in &candidates {
                let restarts = self.restarts_above(process);
                if restarts.is_empty() || replaced.contains_key(&process.id) {
                    continue;
                }
                let found = launched.iter().find(|(id, lineage, spec)| {
                    !taken.contains(id)
                        && lineage.launchers().iter().any(|above| restarts.contains(above))
                        && is_same(spec, &process.spec)
                });
                if let Some((id, _, _)) = found {
                    replaced.insert(process.id, *id);
                    taken.insert(*id);
                    // Restarts of the replacement belong to the same candidate, so they replace no other candidate.
                    taken.extend(self.restarts_of(*id));
                }
            }
        }
        replaced
    }

    /// Returns the processes that were created by restarting the interrupted launchers of this process.
    fn restarts_above(&self, process: &Process) -> BTreeSet<ProcessId> {
        let above = process.lineage.launchers().iter().filter(|above| self.is_restarted(above));
        above.flat_map(|above| self.restarts_of(*above)).collect()
    }

    /// Returns the chain of restarts of a process: its restart, the restart of that restart, and so on.
    fn restarts_of(&self, old: ProcessId) -> impl Iterator<Item = ProcessId> {
        std::iter::successors(self.restarted.get(&old), |id| self.restarted.get(*id)).copied()
    }
}

/// Returns the newest restart of `old`: the restart of its restart, and so on.
fn latest_restart(restarted: &BTreeMap<ProcessId, ProcessId>, old: ProcessId) -> Option<ProcessId> {
    std::iter::successors(restarted.get(&old), |id| restarted.get(id)).last().copied()
}

fn same_name(one: &Spec, other: &Spec) -> bool {
    one.name.is_some() && one.name == other.name
}

/// Returns the reason why a process is restarted only if it is given by id. Returns `None` for other processes.
fn skip_reason(process: &Process) -> Option<SkipReason> {
    match &process.state {
        State::Ended(ended) if ended.orphan_stop.is_some() => Some(SkipReason::Cancelled),
        State::Ended(ended) if ended.late.is_some() => Some(SkipReason::EndKnown),
        State::Ended(_)
        | State::Pending(_)
        | State::Starting { .. }
        | State::Running { .. }
        | State::Reported { .. }
        | State::AwaitingChildren(_)
        | State::Paused { .. }
        | State::Stopping { .. }
        | State::CancelRequested { .. } => None,
    }
}

fn key_for(old: ProcessId) -> Option<LaunchKey> {
    LaunchKey::new(&format!("restart:{old}")).ok()
}
