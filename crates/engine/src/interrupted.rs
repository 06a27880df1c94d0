//! Interrupted work: what a crash or a reboot cut off is run again when somebody asks for it.

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

/// Which interrupted processes are run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartScope<'a> {
    /// Every command whose last end is that it was interrupted, and that is wanted still: see [`InterruptedRestart::skipped`].
    All,
    /// Those of a project.
    OfProject(&'a ProjectName),
    /// These, whatever became of them since.
    These(&'a [ProcessId]),
}

/// How they are run again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterruptedRestartOptions {
    /// Also children that a restarted process launched itself, unless it has launched them again already.
    pub with_children: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What came of running interrupted work again.
#[derive(Clone, Debug, Default)]
pub struct InterruptedRestart {
    /// What was started, oldest first.
    pub launched: Vec<LaunchOutcome>,
    /// Without a start: the interrupted processes that would be run again, oldest first.
    pub planned: Vec<StoredProcess>,
    /// What was not run again, oldest first. It does not list processes that were run again earlier.
    pub skipped: Vec<SkippedRestart>,
}

/// A process that was not run again.
#[derive(Clone, Debug)]
pub struct SkippedRestart {
    /// The process.
    pub stored: StoredProcess,
    /// Why.
    pub reason: SkipReason,
}

/// Why a process was not run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// This process above it, which counts as its launcher, is run again now or was earlier: it is expected to launch it
    /// again.
    AncestorRestarted {
        /// Which.
        ancestor: ProcessId,
    },
    /// A process above it was run again, and has launched this one in its place.
    Replaced {
        /// Which.
        by: ProcessId,
    },
    /// It was cancelled after it was called interrupted.
    Cancelled,
    /// Its true end became known after it was called interrupted.
    EndKnown,
    /// It is reported work, which its reporter starts again.
    Reported,
    /// The manager does not know yet whether it still runs.
    Unexamined,
    /// Its launch failed.
    LaunchFailed {
        /// Why.
        error: String,
    },
}

impl Engine {
    /// Runs interrupted processes again, each as a new one. Asking twice starts nothing twice; who names them is then
    /// told what was started before.
    ///
    /// A process that was launched from inside of another one that is run again is left out, because that one launches it
    /// again itself. A child that somebody attached from outside is run again.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if one of `ids` was not interrupted, [`EngineError::Rejected`] if it has not ended, or is
    /// reported work: then nothing is started. Else the first one that could not be launched, if it was named or none was.
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
                // Who names a process wants it back, whatever a process above it has launched since.
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
                        // Without names, only the processes that this call started are reported.
                        if is_named || one.created {
                            launched.push(one);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(id = %stored.process.id, %error, "interrupted work could not be run again");
                        let reason = SkipReason::LaunchFailed { error: error.to_string() };
                        skipped.push(SkippedRestart { stored, reason });
                        failed.get_or_insert(error);
                    }
                }
            }
            match failed {
                // Of many, those that can be run again are.
                Some(error) if is_named || launched.is_empty() => Err(error),
                Some(_) | None => Ok(InterruptedRestart { launched, skipped, ..InterruptedRestart::default() }),
            }
        })
        .await
    }

    /// Every interrupted command that was not run again yet, and what is left out whatever is asked for.
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
            // A launcher is listed before what it launches.
            if process.lineage.launchers().iter().any(|above| restarts.contains(above)) {
                launched.push((process.id, process.lineage.clone(), process.spec.clone()));
            }
            if process.status() == Status::Interrupted {
                choice.interrupted.insert(process.id);
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

    /// The processes of these ids, if all of them were interrupted.
    async fn named(&self, ids: &[ProcessId]) -> Result<Vec<StoredProcess>, EngineError> {
        let mut named = Vec::new();
        for id in ids.iter().copied() {
            let stored = self.command(id, Action::Restart, None).await?.stored;
            let process = &stored.process;
            if process.status() != Status::Interrupted {
                return Err(EngineError::Invalid {
                    what: "process",
                    why: format!("{id} was not interrupted, it is {}", process.status()),
                    help: Some(format!("`longhaul restart {}` runs it again all the same", id.short())),
                });
            }
            named.push(stored);
        }
        // Ancestors come first.
        named.sort_by_key(|stored| stored.seq);
        named.dedup_by_key(|stored| stored.seq);
        Ok(named)
    }
}

impl EngineShared {
    /// The launch key makes it at most once, whoever asks how often.
    async fn run_once_more(
        self: &Arc<Self>,
        old: &Process,
        parent: Option<&StoredProcess>,
    ) -> Result<LaunchOutcome, EngineError> {
        match self.run_again(old, key_for(old.id), parent).await {
            // What is filled in at a launch may have changed in between; it is the same restart all the same.
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

/// Which processes are run again, oldest first.
#[derive(Debug, Default)]
struct RestartSelection {
    candidates: Vec<StoredProcess>,
    skipped: Vec<SkippedRestart>,
    /// Every interrupted process.
    interrupted: BTreeSet<ProcessId>,
    /// What was run again earlier, and as which process.
    restarted: BTreeMap<ProcessId, ProcessId>,
    /// What has a replacement, and which: the restart of a process above launched it.
    replaced: BTreeMap<ProcessId, ProcessId>,
}

impl RestartSelection {
    /// Leaves out whom nobody wants back, and whom another one brings back.
    fn decide(&mut self, is_named: bool, with_children: bool) {
        let mut chosen: BTreeSet<ProcessId> = BTreeSet::new();
        for stored in std::mem::take(&mut self.candidates) {
            let process = &stored.process;
            let replacement = self.replaced.get(&process.id).copied();
            // Without `with_children`, a replaced process counts as run again.
            let is_back =
                self.restarted.contains_key(&process.id) || (replacement.is_some() && !with_children);
            if is_back && !is_named {
                continue;
            }
            let mut launchers = process.lineage.launchers().iter().rev().copied();
            let restarted = launchers.find(|above| chosen.contains(above) || self.is_back(above));
            let reason = match (unwanted(process), replacement, restarted) {
                (Some(reason), _, _) if !is_named => reason,
                (_, Some(by), _) => SkipReason::Replaced { by },
                (_, None, Some(ancestor)) if !with_children => SkipReason::AncestorRestarted { ancestor },
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

    /// Whether a process was interrupted and run again earlier.
    fn is_back(&self, id: &ProcessId) -> bool {
        self.interrupted.contains(id) && self.restarted.contains_key(id)
    }

    /// Pairs candidates with what restarts of interrupted processes above them launched. Each replaces one candidate.
    fn replacements(&self, launched: &[(ProcessId, Lineage, Arc<Spec>)]) -> BTreeMap<ProcessId, ProcessId> {
        let (mut replaced, mut taken) = (BTreeMap::new(), BTreeSet::new());
        let mut candidates: Vec<&Process> = self.candidates.iter().map(|stored| &stored.process).collect();
        // A candidate that was run again itself needs a replacement least.
        candidates.sort_by_key(|process| self.restarted.contains_key(&process.id));
        // Several names may run the same command, so names are compared first.
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
                    // A restart of the replacement has the same place.
                    taken.extend(self.restarts_of(*id));
                }
            }
        }
        replaced
    }

    /// The restarts of the interrupted processes that launched this one.
    fn restarts_above(&self, process: &Process) -> BTreeSet<ProcessId> {
        let above = process.lineage.launchers().iter().filter(|above| self.is_back(above));
        above.flat_map(|above| self.restarts_of(*above)).collect()
    }

    /// The process that runs this one again, the one that runs that one again, and so on.
    fn restarts_of(&self, old: ProcessId) -> impl Iterator<Item = ProcessId> {
        std::iter::successors(self.restarted.get(&old), |id| self.restarted.get(*id)).copied()
    }
}

/// Returns the process that runs `old` now, through all restarts.
fn latest_restart(restarted: &BTreeMap<ProcessId, ProcessId>, old: ProcessId) -> Option<ProcessId> {
    std::iter::successors(restarted.get(&old), |id| restarted.get(id)).last().copied()
}

fn same_name(one: &Spec, other: &Spec) -> bool {
    one.name.is_some() && one.name == other.name
}

/// Why nobody who names nothing wants it back, if so.
fn unwanted(process: &Process) -> Option<SkipReason> {
    match &process.state {
        State::Ended(ended) if ended.rest.is_some() => Some(SkipReason::Cancelled),
        State::Ended(ended) if ended.late.is_some() => Some(SkipReason::EndKnown),
        State::Ended(_)
        | State::Pending(_)
        | State::Starting { .. }
        | State::Running { .. }
        | State::Reported { .. }
        | State::Lingering(_)
        | State::Paused { .. }
        | State::Stopping { .. }
        | State::Withdrawing { .. } => None,
    }
}

fn key_for(old: ProcessId) -> Option<LaunchKey> {
    LaunchKey::new(&format!("restart:{old}")).ok()
}
