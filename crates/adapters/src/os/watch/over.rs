//! The time between the end of an attempt and the moment when that end is stored.

use super::{AttemptRequest, AttemptState, AttemptWatch, WatchStage};
use crate::os::link::CommandHandles;
use crate::os::spawner::SpawnerShared;
use longhaul_domain::Observation;
use longhaul_ports::AttemptKey;
use longhaul_shim::Identity;
use std::sync::Arc;
use std::time::Duration;

/// Delay before the second try to remove a control group. The delay doubles after each try, up to the maximum.
const MIN_REMOVAL_PAUSE: Duration = Duration::from_millis(10);
const MAX_REMOVAL_PAUSE: Duration = Duration::from_secs(2);

impl AttemptWatch {
    /// Waits until the end of the attempt is stored. All data about the attempt is in its directory by now.
    pub(super) async fn rest(&mut self) -> WatchStage {
        self.held = CommandHandles::default();
        self.input = None;
        // Remove the control group already now if the attempt has no shim. It need not exist until the end is stored.
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

    /// Answers a request about an attempt whose command has ended.
    pub(super) fn answer_at_its_end(&mut self, ask: AttemptRequest) {
        match ask {
            AttemptRequest::Find(answer) => self.find(answer),
            AttemptRequest::Pause(answer) | AttemptRequest::Signal(_, answer) => {
                drop(answer.send(Err("the attempt has ended".to_owned())));
            }
            // Both requests succeed: an ended attempt is no longer paused, and its input is no longer read.
            AttemptRequest::Resume(answer) | AttemptRequest::CloseInput(answer) => drop(answer.send(Ok(()))),
            // Dropping the channel without an answer shows the caller that the attempt has ended.
            AttemptRequest::Usage(_)
            | AttemptRequest::Look(_)
            | AttemptRequest::Input(_)
            | AttemptRequest::Stop(_) => {}
            AttemptRequest::Kept(answer) => drop(answer.send(self.is_durable())),
            AttemptRequest::Settle => self.settled = true,
        }
    }

    /// Returns `Ok` if the record of the end would survive a power loss. The program that wrote an exit record may have
    /// been killed before it synced the record to the disk.
    pub(crate) fn is_durable(&self) -> Result<(), String> {
        let is_lost = matches!(self.known, AttemptState::Over(Observation::SupervisorLost { .. }));
        let is_durable = is_lost || self.is_over() && self.durable;
        if is_durable { Ok(()) } else { Err("the exit record of the attempt is not durable yet".to_owned()) }
    }
}

/// Removes the control group of an ended attempt. Retries if necessary: the kernel keeps a group until its last process
/// has left the CPU, and a program start can hold the locks of the group for a moment.
pub(super) async fn remove_cgroup(shared: &Arc<SpawnerShared>, key: AttemptKey, identity: Option<&Identity>) {
    let mut pause = MIN_REMOVAL_PAUSE;
    while !try_to_remove_cgroup(shared, key, identity).await && pause <= MAX_REMOVAL_PAUSE {
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2);
    }
}

/// Tries once to remove the control group. Returns false if the group still exists.
async fn try_to_remove_cgroup(
    shared: &Arc<SpawnerShared>,
    key: AttemptKey,
    identity: Option<&Identity>,
) -> bool {
    let (shared, group) = (Arc::clone(shared), identity.and_then(|identity| identity.cgroup.clone()));
    let remove = move || shared.remove_cgroup(key, group);
    tokio::task::spawn_blocking(remove).await.unwrap_or(false)
}
