//! Interrupted work: what a crash or a reboot cut off is run again when somebody asks for it.

use crate::engine::{Core, Engine};
use crate::error::EngineError;
use crate::launch::Launched;
use crate::shield::to_its_end;
use longhaul_domain::{Command, LaunchKey, Process, ProcessId, ProjectName, State, Status, Work};
use longhaul_ports::Filter;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which interrupted processes are run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revived<'a> {
    /// Every command whose last end is that it was interrupted, and that is wanted still: see [`Revival::left`].
    All,
    /// Those of a project.
    OfProject(&'a ProjectName),
    /// These, whatever became of them since.
    These(&'a [ProcessId]),
}

/// What came of running interrupted work again.
#[derive(Clone, Debug, Default)]
pub struct Revival {
    /// What was started, oldest first.
    pub launched: Vec<Launched>,
    /// What was not: since it was called interrupted it was cancelled, or it became known that it had ended.
    pub left: Vec<ProcessId>,
}

impl Engine {
    /// Runs interrupted processes again, each as a new one. Asking twice starts nothing twice; who names them is then
    /// told what was started before.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if one of `ids` was not interrupted, [`EngineError::Rejected`] if it has not ended:
    /// then nothing is started. Else the first one that could not be launched, after the others were.
    pub async fn restart_interrupted(&self, revived: Revived<'_>) -> Result<Revival, EngineError> {
        let core = self.core.clone();
        let (chosen, project) = match revived {
            Revived::These(ids) => (Some(self.named(ids).await?), None),
            Revived::OfProject(project) => (None, Some(project.clone())),
            Revived::All => (None, None),
        };
        to_its_end(async move {
            let named = chosen.is_some();
            let (chosen, unwanted) = match chosen {
                Some(chosen) => (chosen, Vec::new()),
                None => {
                    let mut all = core.all_interrupted().await?;
                    all.retain(|process| project.is_none() || process.spec.project == project);
                    all.into_iter().partition(is_wanted)
                }
            };
            let left = unwanted.iter().map(|process| process.id).collect();
            let (mut launched, mut failed) = (Vec::new(), None);
            for old in chosen {
                match core.run_once_more(&old).await {
                    // Whoever asks for all of them wants to know what that began.
                    Ok(one) if named || one.created => launched.push(one),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(id = %old.id, %error, "interrupted work could not be run again");
                        failed.get_or_insert(error);
                    }
                }
            }
            match failed {
                // Of many, those that can be run again are.
                Some(error) if named || launched.is_empty() => Err(error),
                Some(_) | None => Ok(Revival { launched, left }),
            }
        })
        .await
    }

    /// The processes of these ids, if all of them were interrupted.
    async fn named(&self, ids: &[ProcessId]) -> Result<Vec<Process>, EngineError> {
        let mut named = Vec::new();
        for id in ids.iter().copied() {
            let process = self.command(id, Command::Restart, None).await?.stored.process;
            if process.status() != Status::Interrupted {
                return Err(EngineError::Invalid {
                    what: "process",
                    why: format!("{id} was not interrupted, it is {}", process.status()),
                    help: Some(format!("`longhaul restart {}` runs it again all the same", id.short())),
                });
            }
            named.push(process);
        }
        Ok(named)
    }
}

impl Core {
    /// Every interrupted command that nobody has run again yet. Reported work is begun by whoever does it.
    async fn all_interrupted(&self) -> Result<Vec<Process>, EngineError> {
        let (mut interrupted, mut run_again) = (Vec::new(), BTreeSet::new());
        self.each(&Filter::default(), |stored| {
            let key = stored.process.spec.launch_key.as_ref();
            if let Some(old) = stored.process.lineage.restarted_from
                && key != Some(&key_for(old)).and_then(Option::as_ref)
            {
                run_again.insert(old);
            }
            let is_command = match &stored.process.spec.work {
                Work::Command(_) => true,
                Work::Reported(_) => false,
            };
            if is_command && stored.process.status() == Status::Interrupted {
                interrupted.push(stored.process);
            }
        })
        .await?;
        interrupted.retain(|process| !run_again.contains(&process.id));
        Ok(interrupted)
    }

    /// The launch key makes it at most once, whoever asks how often.
    async fn run_once_more(self: &Arc<Self>, old: &Process) -> Result<Launched, EngineError> {
        match self.run_again(old, key_for(old.id)).await {
            // What is filled in at a launch may have changed in between; it is the same restart all the same.
            Err(conflict @ EngineError::KeyConflict { holder, .. }) => {
                let stored = self.load(holder).await?;
                if stored.process.lineage.restarted_from != Some(old.id) {
                    return Err(conflict);
                }
                Ok(Launched { stored, created: false })
            }
            other => other,
        }
    }
}

/// Whether it is to be brought back by whoever names nothing: not what was cancelled while nobody saw it, nor what is known
/// by now to have come to its end.
fn is_wanted(process: &Process) -> bool {
    match &process.state {
        State::Ended(ended) => ended.late.is_none() && ended.rest.is_none(),
        State::Pending(_)
        | State::Starting { .. }
        | State::Running { .. }
        | State::Reported { .. }
        | State::Lingering(_)
        | State::Paused { .. }
        | State::Stopping { .. }
        | State::Withdrawing { .. } => true,
    }
}

fn key_for(old: ProcessId) -> Option<LaunchKey> {
    LaunchKey::new(&format!("restart:{old}")).ok()
}
