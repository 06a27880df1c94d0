//! Watches an attempt with a live shim: receives the messages of the shim, and forwards requests to the shim.

use super::child::ShimChild;
use super::{
    AttemptRequest, AttemptWatch, OutstandingRequest, PendingSignal, ShimRefusal, TreeUsageWaiter, WatchStage,
};
use crate::os::link::{CommandHandles, ShimLink};
use crate::os::spawner::SpawnerShared;
use crate::os::usage::TreeMembers;
use crate::os::{inspect, pidfd, translate};
use longhaul_shim::{
    AttemptPhase, ErrorCode, Identity, ShimMessage, ShimRequest, ShimStopRequest, is_shortage,
};
use std::io;
use std::time::Duration;

/// Maximum time to wait for the end of a shim after its connection has ended.
const DISCONNECTED_SHIM_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of times that a pause is tried again.
const MAX_STOP_RETRIES: u32 = 5;

impl AttemptWatch {
    /// Forwards requests to the shim and handles its messages, until the end of the attempt is stored or the shim is no
    /// longer running.
    pub(super) async fn follow(&mut self, mut link: Box<ShimLink>) -> WatchStage {
        if self.stop.is_some() {
            // The stop was requested while the shim could not be reached.
            self.send_stop(&link).await;
        }
        loop {
            let (lasts, halts, ends) = (self.sweep_lasts(), self.halt_news(), self.unseen_end());
            let stage = tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.pass_on(&link, ask).await,
                    None => Some(WatchStage::Left),
                },
                () = lasts => {
                    self.report_cleanup();
                    None
                }
                () = halts => {
                    self.look_at_shim();
                    None
                }
                () = ends => {
                    self.look_at_shim();
                    None
                }
                reported = link.next() => match reported {
                    Ok(Some((notice, held))) => self.hear(&link, notice, held).await,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(id = %self.key.id, %error, "lost the connection to a supervisor");
                        break;
                    }
                },
            };
            if let Some(stage) = stage {
                return stage;
            }
        }
        drop(link);
        while !self.unanswered.is_empty() {
            self.answer(Err("the supervisor has ended".to_owned()));
        }
        for counter in self.counters.drain(..) {
            counter.refuse("the supervisor has ended");
        }
        self.refuse_closers("the supervisor has ended");
        if self.is_over() { WatchStage::Over } else { self.outlive_shim().await }
    }

    /// Waits for a limited time until the shim has ended, and then examines the attempt directory.
    pub(super) async fn outlive_shim(&mut self) -> WatchStage {
        let gone = end_of_shim(&self.shared, self.shim.as_mut(), self.identity.as_deref());
        if tokio::time::timeout(DISCONNECTED_SHIM_TIMEOUT, gone).await.is_err() {
            tracing::debug!(id = %self.key.id, "a live supervisor closed its connection");
            return WatchStage::Examine;
        }
        self.shim = None;
        match self.refused.take() {
            Some(ShimRefusal { short: true, detail }) => Box::pin(self.start_over(&detail)).await,
            refused => {
                self.refused = refused;
                WatchStage::Examine
            }
        }
    }

    async fn pass_on(&mut self, link: &ShimLink, ask: AttemptRequest) -> Option<WatchStage> {
        match ask {
            AttemptRequest::Find(answer) => self.find(answer),
            AttemptRequest::Stop(order) => {
                self.look_at_shim();
                let has_ended = self.held.pidfd.as_ref().is_some_and(pidfd::is_over);
                // If the command had ended before the stop was requested, the stop did not end it.
                if self.cleanup.is_some() || !has_ended && self.missed.is_none() {
                    self.note_stop(order);
                    self.send_stop(link).await;
                }
            }
            AttemptRequest::Pause(answer) => {
                self.wake_shim(false);
                self.unanswered.push_back(OutstandingRequest::Pause { asked: answer, tries: 0 });
                send(link, &ShimRequest::Pause).await;
            }
            AttemptRequest::Resume(answer) => {
                self.wake_shim(false);
                self.unanswered.push_back(OutstandingRequest::Resume(answer));
                send(link, &ShimRequest::Resume).await;
            }
            AttemptRequest::Signal(_, answer) if self.is_over() => {
                drop(answer.send(Err("the attempt has ended".to_owned())))
            }
            AttemptRequest::Signal(PendingSignal { signal, target }, answer) => {
                self.wake_shim(false);
                self.unanswered.push_back(OutstandingRequest::Signal(answer));
                let target = translate::target(target);
                send(link, &ShimRequest::Signal { signal: signal.number().into(), target }).await;
            }
            // Processes that outlive the attempt do not count. Dropping the channel without an answer shows the caller
            // that the attempt has ended.
            AttemptRequest::Usage(_) | AttemptRequest::Look(_) if self.is_over() => {}
            AttemptRequest::Usage(answer) => self.await_count(link, TreeUsageWaiter::Usage(answer)).await,
            AttemptRequest::Look(answer) => self.await_count(link, TreeUsageWaiter::Look(answer)).await,
            AttemptRequest::Input(answer) => self.give_input(answer),
            AttemptRequest::CloseInput(answer) => {
                self.wake_shim(false);
                self.await_closed(answer);
                send(link, &ShimRequest::CloseInput).await;
            }
            AttemptRequest::Kept(answer) => drop(answer.send(self.is_durable())),
            AttemptRequest::Settle => {
                self.settled = true;
                return self.acknowledge(link).await;
            }
        }
        None
    }

    /// Requests the list of managers that run inside the tree from the shim. One request serves all waiting callers.
    async fn await_count(&mut self, link: &ShimLink, counter: TreeUsageWaiter) {
        self.counters.push(counter);
        if self.counters.len() == 1 {
            send(link, &ShimRequest::Status).await;
        }
    }

    async fn send_stop(&self, link: &ShimLink) {
        if let Some(order) = self.stop {
            let stop = ShimStopRequest {
                force: order.force,
                ..ShimStopRequest::new(translate::reason(order.cause))
            };
            send(link, &ShimRequest::Stop(stop)).await;
        }
    }

    async fn hear(
        &mut self,
        link: &ShimLink,
        notice: ShimMessage,
        held: CommandHandles,
    ) -> Option<WatchStage> {
        match notice {
            ShimMessage::Handed { .. } => {
                self.held = held;
                None
            }
            ShimMessage::Started { identity, .. } => {
                self.held = held.or(std::mem::take(&mut self.held));
                self.note_running(&identity);
                self.hold_input();
                None
            }
            ShimMessage::Exited { record, durable } => {
                self.durable |= durable;
                self.see_input_closed();
                if record.sweeping && !self.is_over() {
                    // The tree is not empty yet. If the end were reported now, the next process in the queue would
                    // start while the leftovers are still running.
                    self.see_sweep(&record);
                    return None;
                }
                self.see_end(&record);
                self.held = CommandHandles::default();
                self.counters.clear();
                while !self.unanswered.is_empty() {
                    self.refuse("the attempt has ended".to_owned());
                }
                self.acknowledge(link).await
            }
            ShimMessage::Refused { why, errno } => {
                let error = errno.map(io::Error::from_raw_os_error);
                let short = error.is_some_and(|error| is_shortage(&error));
                let detail = format!("the supervisor rejected the launch: {why}");
                self.refused = Some(ShimRefusal { short, detail });
                None
            }
            ShimMessage::Paused { missed, .. } => {
                if missed == 0 {
                    self.is_halted = true;
                    self.answer(Ok(()));
                } else {
                    self.half_halted(link, missed).await;
                }
                None
            }
            ShimMessage::Resumed => {
                self.is_halted = false;
                self.answer(Ok(()));
                None
            }
            ShimMessage::Error { code: ErrorCode::NotDurable, text } => {
                tracing::warn!(
                    id = %self.key.id, text,
                    "could not store the end of an attempt durably in its attempt directory; the shim retries"
                );
                None
            }
            ShimMessage::Error { text, .. } => {
                tracing::debug!(id = %self.key.id, text, "a supervisor did not execute a request");
                self.refuse(text);
                None
            }
            ShimMessage::Status(status) => {
                let is_ending = matches!(status.phase, AttemptPhase::Stopping | AttemptPhase::Ended);
                if is_ending && !status.survivors.is_empty() {
                    let survivors = &status.survivors;
                    tracing::warn!(
                        id = %self.key.id, ?survivors,
                        "some processes of an attempt are still running after SIGKILL"
                    );
                }
                self.count(status.managers);
                None
            }
            ShimMessage::InputClosed => {
                self.see_input_closed();
                None
            }
            ShimMessage::Signaled { reached } => {
                let no_receiver = || Err("no process was left to receive the signal".to_owned());
                self.answer(if reached > 0 { Ok(()) } else { no_receiver() });
                None
            }
            ShimMessage::Hello(_) => None,
        }
    }

    /// Answers all callers that requested data about the tree. Works in a separate task, because many files may have to
    /// be read.
    fn count(&mut self, managers: Vec<u32>) {
        let counters = std::mem::take(&mut self.counters);
        if counters.is_empty() {
            return;
        }
        let Some(identity) = self.identity.clone() else {
            for counter in counters {
                counter.refuse("the command has not started yet");
            }
            return;
        };
        // The task is not awaited, because it sends the answers itself.
        drop(tokio::task::spawn_blocking(move || {
            let Some(census) = TreeMembers::under_shim(&identity, &managers) else {
                return;
            };
            let cgroup = identity.cgroup.as_deref();
            let (mut usage, mut seen) = (None, None);
            for counter in counters {
                match counter {
                    TreeUsageWaiter::Usage(answer) => {
                        let usage = *usage.get_or_insert_with(|| census.usage(cgroup));
                        drop(usage.map(|usage| answer.send(Ok(usage))));
                    }
                    TreeUsageWaiter::Look(answer) => {
                        let seen = seen.get_or_insert_with(|| inspect::into(&census, cgroup)).clone();
                        drop(seen.map(|seen| answer.send(Ok(seen))));
                    }
                }
            }
        }));
    }

    /// Confirms the end of the attempt to the shim as soon as the end is stored and is durable in the attempt
    /// directory.
    async fn acknowledge(&mut self, link: &ShimLink) -> Option<WatchStage> {
        if self.settled && self.durable {
            send(link, &ShimRequest::Acknowledge).await;
            return Some(WatchStage::Left);
        }
        None
    }

    /// Resumes a tree of which only a part could be paused, because a partly paused tree is worse than a running tree.
    /// Then tries the pause again, because the second try may stop all processes.
    async fn half_halted(&mut self, link: &ShimLink, missed: u64) {
        let pause = self.unanswered.pop_front();
        self.unanswered.push_back(OutstandingRequest::Undo);
        send(link, &ShimRequest::Resume).await;
        match pause {
            Some(OutstandingRequest::Pause { asked, tries }) if tries < MAX_STOP_RETRIES => {
                let tries = tries.saturating_add(1);
                self.unanswered.push_back(OutstandingRequest::Pause { asked, tries });
                send(link, &ShimRequest::Pause).await;
            }
            Some(
                OutstandingRequest::Pause { asked, .. }
                | OutstandingRequest::Resume(asked)
                | OutstandingRequest::Signal(asked),
            ) => {
                drop(asked.send(Err(format!("{missed} processes of the process tree are still running"))));
            }
            Some(OutstandingRequest::Undo) | None => {}
        }
    }

    fn answer(&mut self, answer: Result<(), String>) {
        match self.unanswered.pop_front() {
            Some(
                OutstandingRequest::Pause { asked, .. }
                | OutstandingRequest::Resume(asked)
                | OutstandingRequest::Signal(asked),
            ) => drop(asked.send(answer)),
            Some(OutstandingRequest::Undo) | None => {}
        }
    }

    fn refuse(&mut self, why: String) {
        match self.unanswered.pop_front() {
            Some(OutstandingRequest::Pause { asked, .. } | OutstandingRequest::Signal(asked)) => {
                drop(asked.send(Err(why)))
            }
            // The request succeeds, because a tree that has ended or is being stopped is no longer paused.
            Some(OutstandingRequest::Resume(asked)) => drop(asked.send(Ok(()))),
            Some(OutstandingRequest::Undo) | None => {}
        }
    }
}

/// Waits until a shim has ended, if it is a child of this program or its identity is known.
pub(super) async fn end_of_shim(
    shared: &SpawnerShared,
    shim: Option<&mut ShimChild>,
    identity: Option<&Identity>,
) {
    if let Some(shim) = shim {
        shim.ended(&shared.reaper).await;
    } else if let Some(identity) = identity
        && let Ok(Some(shim)) = pidfd::open(identity.shim_pid, identity.shim_start)
        && let Err(error) = pidfd::ended(shim).await
    {
        tracing::debug!(%error, "could not wait for the end of a supervisor");
    }
}

/// Sends a request. Ignores an error: if the shim is no longer running, the reader of the connection detects that.
async fn send(link: &ShimLink, order: &ShimRequest) {
    if let Err(error) = link.send(order).await {
        tracing::debug!(%error, "could not send a request to a supervisor");
    }
}
