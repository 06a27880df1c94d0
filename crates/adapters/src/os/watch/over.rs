//! The time after the end, until that is settled.

use super::{AttemptRequest, AttemptState, AttemptWatch, WatchStage};
use crate::os::link::CommandHandles;
use crate::os::spawner::SpawnerShared;
use longhaul_domain::Observation;
use longhaul_ports::AttemptKey;
use longhaul_shim::Identity;
use std::sync::Arc;
use std::time::Duration;

/// The pauses before the removal of a control group is tried again: the first one, which doubles, and the last one.
const MIN_REMOVAL_PAUSE: Duration = Duration::from_millis(10);
const MAX_REMOVAL_PAUSE: Duration = Duration::from_secs(2);

impl AttemptWatch {
    /// Waits until the end is settled; the directory keeps all that is known.
    pub(super) async fn rest(&mut self) -> WatchStage {
        self.held = CommandHandles::default();
        self.input = None;
        // That of one without supervisor need not be there until the end is settled.
        try_to_remove_cgroup(&self.shared, self.key, self.identity.as_deref()).await;
        while !self.settled {
            let shim = async {
                match &mut self.shim {
                    Some(shim) => shim.ended(&self.shared.reaper).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.answer_at_its_end(ask),
                    None => break,
                },
                () = shim => self.shim = None,
            }
        }
        WatchStage::Left
    }

    /// Answers what is asked of an attempt whose command has ended.
    pub(super) fn answer_at_its_end(&mut self, ask: AttemptRequest) {
        match ask {
            AttemptRequest::Find(answer) => self.find(answer),
            AttemptRequest::Pause(answer) | AttemptRequest::Signal(_, answer) => {
                drop(answer.send(Err("it has ended".to_owned())));
            }
            // None of it is halted, and nobody reads any more.
            AttemptRequest::Resume(answer) | AttemptRequest::CloseInput(answer) => drop(answer.send(Ok(()))),
            // Whoever asks is told that nothing runs by being told nothing.
            AttemptRequest::Usage(_)
            | AttemptRequest::Look(_)
            | AttemptRequest::Input(_)
            | AttemptRequest::Stop(_) => {}
            AttemptRequest::Kept(answer) => drop(answer.send(self.is_durable())),
            AttemptRequest::Settle => self.settled = true,
        }
    }

    /// Whether its end would be found again after a loss of power. Whoever wrote one that was found in the directory may
    /// not have come so far as to force it to the disk.
    pub(crate) fn is_durable(&self) -> Result<(), String> {
        let is_lost = matches!(self.known, AttemptState::Over(Observation::SupervisorLost { .. }));
        let is_durable = is_lost || self.is_over() && self.durable;
        if is_durable { Ok(()) } else { Err("its end is not durable in its directory".to_owned()) }
    }
}

/// Removes the control group of an attempt that is over, and tries that for a while: the kernel keeps a group until its last
/// process is off its processor, and a program that is being started holds the locks of this one for a moment.
pub(super) async fn remove_cgroup(shared: &Arc<SpawnerShared>, key: AttemptKey, identity: Option<&Identity>) {
    let mut pause = MIN_REMOVAL_PAUSE;
    while !try_to_remove_cgroup(shared, key, identity).await && pause <= MAX_REMOVAL_PAUSE {
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2);
    }
}

/// False if the group is still there.
async fn try_to_remove_cgroup(
    shared: &Arc<SpawnerShared>,
    key: AttemptKey,
    identity: Option<&Identity>,
) -> bool {
    let (shared, group) = (Arc::clone(shared), identity.and_then(|identity| identity.cgroup.clone()));
    let remove = move || shared.remove_cgroup(key, group);
    tokio::task::spawn_blocking(remove).await.unwrap_or(false)
}
