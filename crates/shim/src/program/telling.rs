//! Sends the start and the status of the attempt to peers.

use std::os::fd::OwnedFd;

use super::{
    leader::Leader,
    supervisor::{PauseState, Supervisor},
};
use crate::{
    clock,
    message::{Descriptor, ShimMessage},
    process_stat::ProcessStat,
    status::{AttemptPhase, AttemptStatus},
};

const MAX_REPORTED_SURVIVORS: usize = 64;

impl Supervisor {
    /// Reports the start of the program to all peers that have sent a hello. A peer that requested descriptors receives
    /// the started message with the descriptors. A peer that did not request them receives a status.
    pub(super) fn send_started(&mut self) {
        let mut status = None;
        for place in 0..self.connections.count() {
            let wants_descriptors =
                self.connections.nth(place).filter(|each| each.greeted).map(|each| each.wants_descriptors);
            match wants_descriptors {
                Some(true) => self.send_started_to(place),
                Some(false) => {
                    let notice =
                        status.take().unwrap_or_else(|| ShimMessage::Status(Box::new(self.status())));
                    if let Some(connection) = self.connections.nth(place) {
                        connection.send(&notice, Vec::new());
                    }
                    status = Some(notice);
                }
                None => {}
            }
        }
    }

    /// Sends the pidfd and the output pipes to the peer that sent the launch, before the program can write output.
    pub(super) fn hand_over(&mut self) {
        let (descriptors, handles) = self.shared();
        if let Some(connection) = self.connections.nth(0) {
            connection.send(&ShimMessage::Handed { descriptors }, handles);
            connection.has_descriptors = true;
        }
    }

    pub(super) fn send_started_to(&mut self, place: usize) {
        let (descriptors, mut handles) = self.shared();
        let identity = Box::new(self.identity.clone());
        if let Some(connection) = self.connections.nth(place) {
            if std::mem::take(&mut connection.has_descriptors) {
                handles.clear();
            }
            connection.send(&ShimMessage::Started { identity, descriptors }, handles);
        }
    }

    /// Duplicates the descriptors for a peer. With them, the peer can read the output and detect the end of the program
    /// without this shim.
    fn shared(&self) -> (Vec<Descriptor>, Vec<OwnedFd>) {
        let mut descriptors = vec![Descriptor::Pidfd];
        let mut handles: Vec<OwnedFd> = self.tree.pidfd().try_clone().into_iter().collect();
        if handles.is_empty() {
            descriptors.clear();
        }
        for (descriptor, handle) in self.pumps.share().unwrap_or_default() {
            descriptors.push(descriptor);
            handles.push(handle);
        }
        (descriptors, handles)
    }

    pub(super) fn send_status(&mut self) {
        let notice = ShimMessage::Status(Box::new(self.status()));
        self.connections.broadcast(&notice);
    }

    /// Returns the current status of the attempt.
    pub(super) fn status(&self) -> AttemptStatus {
        let mut survivors = self.stopping.as_ref().map_or_else(Vec::new, |each| each.survivors(&self.tree));
        survivors.truncate(MAX_REPORTED_SURVIVORS);
        let stat = ProcessStat::read(self.tree.leader());
        AttemptStatus {
            phase: self.phase(),
            pid: self.tree.leader(),
            output_bytes: self.pumps.writer().length(),
            paused_ms: self.total_paused_ms(clock::awake_ms()),
            survivors,
            reason: self.stopping.as_ref().and_then(|each| each.reason),
            mechanism: self.tree.containment(),
            managers: self.tree.managers(),
            leader_stopped: !self.leader.has_ended() && stat.is_some_and(|stat| stat.is_stopped()),
        }
    }

    fn phase(&self) -> AttemptPhase {
        let asked = self.stopping.as_ref().is_some_and(|each| each.reason.is_some() && !each.is_empty());
        match &self.leader {
            Leader::Gated { .. } | Leader::Starting { .. } if !asked => AttemptPhase::Launching,
            Leader::Ended(_) if !asked => AttemptPhase::Ended,
            Leader::Running { .. } if !asked && self.pause != PauseState::Free => AttemptPhase::Paused,
            Leader::Running { .. } if !asked => AttemptPhase::Running,
            Leader::Doomed { .. } if !asked => AttemptPhase::Ended,
            Leader::Gated { .. }
            | Leader::Starting { .. }
            | Leader::Running { .. }
            | Leader::Doomed { .. }
            | Leader::Ended(_) => AttemptPhase::Stopping,
        }
    }
}
