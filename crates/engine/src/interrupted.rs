//! Interrupted work: what a crash or a reboot cut off is run again when somebody asks for it.

use crate::engine::{Core, Engine};
use crate::error::EngineError;
use crate::launch::Launched;
use crate::shield::to_its_end;
use longhaul_domain::{Command, LaunchKey, Process, ProcessId, Status, Work};
use longhaul_ports::Filter;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Engine {
    /// Runs interrupted processes again, each as a new one: these, else every command whose last end is that it was
    /// interrupted, oldest first. Asking twice starts nothing twice; who names them is then told what was started before.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if one of `ids` was not interrupted, [`EngineError::Rejected`] if it has not ended:
    /// then nothing is started. Else the first one that could not be launched, after the others were.
    pub async fn restart_interrupted(&self, ids: Option<&[ProcessId]>) -> Result<Vec<Launched>, EngineError> {
        let core = self.core.clone();
        let chosen = match ids {
            Some(ids) => Some(self.named(ids).await?),
            None => None,
        };
        to_its_end(async move {
            let named = chosen.is_some();
            let chosen = match chosen {
                Some(chosen) => chosen,
                None => core.all_interrupted().await?,
            };
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
                Some(_) | None => Ok(launched),
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

fn key_for(old: ProcessId) -> Option<LaunchKey> {
    LaunchKey::new(&format!("restart:{old}")).ok()
}
