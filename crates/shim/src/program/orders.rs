//! Executes the requests of peers.

use super::{
    leader::Leader,
    supervisor::{PauseState, Supervisor},
};
use crate::{
    clock,
    exit::ProgramEnd,
    message::{ErrorCode, ShimMessage, ShimWelcome},
    plan::StopPlan,
    request::{PROTOCOL_VERSION, ShimHello, ShimRequest, ShimStopRequest, SignalTarget},
};

/// Features that this version supports, in addition to the messages that are the same in every version.
pub(super) const CAPABILITIES: [&str; 5] = ["pause", "descriptors", "settled", "input", "lease"];

impl Supervisor {
    /// Receives bytes from one peer and executes the requests in them.
    pub(super) fn serve(&mut self, place: usize) {
        if let Some(connection) = self.connections.nth(place) {
            connection.receive();
        }
        while let Some(connection) = self.connections.nth(place) {
            match connection.pull() {
                Ok(None) => break,
                Ok(Some(frame)) => match ShimRequest::decode(&frame) {
                    Ok(Some(order)) => self.carry_out(place, order),
                    Ok(None) => self.refuse(place, ErrorCode::Unknown, "unknown order"),
                    Err(error) => self.refuse(place, ErrorCode::Malformed, &error.to_string()),
                },
                Err(error) => {
                    self.refuse(place, ErrorCode::Malformed, &error.to_string());
                    if let Some(connection) = self.connections.nth(place) {
                        connection.give_up();
                    }
                    break;
                }
            }
        }
    }

    fn carry_out(&mut self, place: usize, order: ShimRequest) {
        match order {
            ShimRequest::Hello(hello) => self.greet(place, &hello),
            ShimRequest::Launch(_) => {
                self.refuse(place, ErrorCode::Illegal, "this shim has already received its launch")
            }
            ShimRequest::Status => {
                let status = self.status();
                self.answer(place, &ShimMessage::Status(Box::new(status)));
            }
            ShimRequest::Stop(stop) => self.stop(place, stop),
            ShimRequest::Signal { signal, target } => self.signal(place, signal, target),
            ShimRequest::Pause => self.pause(place),
            ShimRequest::Resume => self.resume(place),
            ShimRequest::Acknowledge => {
                let durable = self.record.known().is_some_and(|(_, durable)| durable);
                if let Some(connection) = self.connections.nth(place).filter(|_| durable) {
                    connection.acknowledged = true;
                }
            }
            ShimRequest::CloseInput => {
                let changed = self.input.close(&self.directory);
                self.reply(place, changed, &ShimMessage::InputClosed);
            }
        }
    }

    fn greet(&mut self, place: usize, hello: &ShimHello) {
        let welcome = ShimMessage::Hello(ShimWelcome {
            version: PROTOCOL_VERSION,
            capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
            process: self.launch.process.clone(),
            attempt: self.launch.attempt,
            shim_pid: std::process::id(),
        });
        let Some(connection) = self.connections.nth(place) else {
            return;
        };
        connection.greeted = true;
        connection.wants_descriptors |= hello.want_descriptors;
        let peer = connection.peer;
        connection.send(&welcome, Vec::new());
        if hello.manager {
            self.tree.exclude_manager(peer);
        }
        let started = match &self.leader {
            Leader::Running { .. } => true,
            Leader::Ended(end) => match end.ending {
                ProgramEnd::Exited { .. } | ProgramEnd::Signaled { .. } => true,
                ProgramEnd::SpawnFailed { .. } | ProgramEnd::NeverRan => false,
            },
            Leader::Gated { .. } | Leader::Starting { .. } | Leader::Doomed { .. } => false,
        };
        if started && hello.want_descriptors {
            self.send_started_to(place);
        }
        if let Some((record, durable)) = self.record.known() {
            let notice = ShimMessage::Exited { record: Box::new(record.clone()), durable };
            self.answer(place, &notice);
        }
    }

    fn stop(&mut self, place: usize, order: ShimStopRequest) {
        let now = clock::awake_ms();
        let gated = match &self.leader {
            Leader::Gated { .. } => true,
            Leader::Starting { .. } | Leader::Running { .. } | Leader::Doomed { .. } | Leader::Ended(_) => {
                false
            }
        };
        if gated {
            // The assignment drops the write end of the gate, so that the gate closes without letting the child
            // continue.
            self.leader = Leader::Doomed { ending: ProgramEnd::NeverRan };
        }
        let over = self.leader.has_ended() && self.stopping.is_none() && self.leftovers == 0;
        if over {
            let status = self.status();
            return self.answer(place, &ShimMessage::Status(Box::new(status)));
        }
        let begun = self.stopping.is_some();
        if !begun {
            // A forced stop uses an empty stop plan, so that no other signal precedes SIGKILL.
            let plan = if order.force { Some(StopPlan { steps: Vec::new() }) } else { order.plan };
            self.begin_stop(Some(order.reason), plan, now);
        }
        if let Some(stopping) = self.stopping.as_mut().filter(|_| order.force) {
            stopping.force(now);
        }
        let reported = self.connections.nth(place).is_some_and(|each| each.greeted) && !begun;
        if !reported {
            let status = self.status();
            self.answer(place, &ShimMessage::Status(Box::new(status)));
        }
    }

    fn signal(&mut self, place: usize, signal: i32, target: SignalTarget) {
        let reached = match target {
            SignalTarget::Leader if self.leader.has_ended() => Err(std::io::ErrorKind::NotFound.into()),
            SignalTarget::Leader => self.tree.signal_leader(signal).map(|()| 1),
            SignalTarget::Tree => Ok(self.tree.signal_all(signal).len()),
        };
        match reached {
            Ok(reached) => {
                let reached = u64::try_from(reached).unwrap_or(u64::MAX);
                self.answer(place, &ShimMessage::Signaled { reached });
            }
            Err(error) => self.refuse(place, ErrorCode::System, &error.to_string()),
        }
    }

    fn pause(&mut self, place: usize) {
        if self.leader.since().is_none() || self.stopping.is_some() {
            return self.refuse(
                place,
                ErrorCode::Illegal,
                "only a running process that is not being stopped can be paused",
            );
        }
        let changed = self.pause == PauseState::Free;
        let held = self.hold();
        let notice = ShimMessage::Paused { stopped: held.stopped, missed: held.missed };
        self.reply(place, changed, &notice);
    }

    fn resume(&mut self, place: usize) {
        if self.leader.since().is_none() || self.stopping.is_some() {
            return self.refuse(place, ErrorCode::Illegal, "only a paused process can be resumed");
        }
        let changed = self.pause != PauseState::Free;
        // Do not resume a tree that the shim did not pause: another process may have stopped the tree for another
        // reason.
        if changed {
            self.release();
        }
        self.reply(place, changed, &ShimMessage::Resumed);
    }

    /// Sends the answer to the peer that made the request. If the request changed the state (`changed`), sends the
    /// answer to all other peers too.
    fn reply(&mut self, place: usize, changed: bool, notice: &ShimMessage) {
        if changed {
            self.connections.broadcast(notice);
        }
        let reported = self.connections.nth(place).is_some_and(|each| each.greeted) && changed;
        if !reported {
            self.answer(place, notice);
        }
    }

    fn refuse(&mut self, place: usize, code: ErrorCode, text: &str) {
        self.answer(place, &ShimMessage::Error { code, text: text.to_owned() });
    }

    fn answer(&mut self, place: usize, notice: &ShimMessage) {
        if let Some(connection) = self.connections.nth(place) {
            connection.send(notice, Vec::new());
        }
    }
}
