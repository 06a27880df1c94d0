//! Following a shim that lives.

use super::child::ShimChild;
use super::{Ask, Counter, Refused, Sent, Stage, Unanswered, Watch};
use crate::os::link::{Held, Link};
use crate::os::spawner::Shared;
use crate::os::usage::Census;
use crate::os::{look, pidfd, translate};
use longhaul_shim::{ErrorCode, Identity, Notice, Order, Phase, StopOrder, is_shortage};
use std::io;
use std::time::Duration;

/// How long a shim may live on after it has hung up.
const HUNG_UP: Duration = Duration::from_secs(2);
/// How often more it is tried to halt a tree.
const HALT_TRIES: u32 = 5;

impl Watch {
    /// Passes on what is asked and hears what is told, until the end is settled or the shim is gone.
    pub(super) async fn follow(&mut self, mut link: Box<Link>) -> Stage {
        if self.stop.is_some() {
            // Ordered while the shim could not be reached.
            self.send_stop(&link).await;
        }
        loop {
            let (lasts, halts, ends) = (self.sweep_lasts(), self.halt_news(), self.unseen_end());
            let stage = tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.pass_on(&link, ask).await,
                    None => Some(Stage::Left),
                },
                () = lasts => {
                    self.tell_sweep();
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
                told = link.next() => match told {
                    Ok(Some((notice, held))) => self.hear(&link, notice, held).await,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(id = %self.key.id, %error, "the connection to a supervisor broke");
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
            self.answer(Err("its supervisor is gone".to_owned()));
        }
        for counter in self.counters.drain(..) {
            counter.refuse("its supervisor is gone");
        }
        self.refuse_closers("its supervisor is gone");
        if self.is_over() { Stage::Over } else { self.outlive_shim().await }
    }

    /// Waits for the end of a shim that was started here or is known, and looks at what it left.
    pub(super) async fn outlive_shim(&mut self) -> Stage {
        let gone = end_of_shim(&self.shared, self.shim.as_mut(), self.identity.as_deref());
        if tokio::time::timeout(HUNG_UP, gone).await.is_err() {
            tracing::debug!(id = %self.key.id, "a supervisor has hung up and lives on");
            return Stage::Examine;
        }
        self.shim = None;
        match self.refused.take() {
            Some(Refused { short: true, detail }) => Box::pin(self.start_over(&detail)).await,
            refused => {
                self.refused = refused;
                Stage::Examine
            }
        }
    }

    async fn pass_on(&mut self, link: &Link, ask: Ask) -> Option<Stage> {
        match ask {
            Ask::Find(answer) => self.find(answer),
            Ask::Stop(order) => {
                self.look_at_shim();
                let has_ended = self.held.pidfd.as_ref().is_some_and(pidfd::is_over);
                // A stop did not cause an end that was there before the order.
                if self.sweep.is_some() || !has_ended && self.missed.is_none() {
                    self.note_stop(order);
                    self.send_stop(link).await;
                }
            }
            Ask::Pause(answer) => {
                self.rouse_shim(false);
                self.unanswered.push_back(Unanswered::Pause { asked: answer, tries: 0 });
                send(link, &Order::Pause).await;
            }
            Ask::Resume(answer) => {
                self.rouse_shim(false);
                self.unanswered.push_back(Unanswered::Resume(answer));
                send(link, &Order::Resume).await;
            }
            Ask::Signal(_, answer) if self.is_over() => drop(answer.send(Err("it has ended".to_owned()))),
            Ask::Signal(Sent { signal, target }, answer) => {
                self.rouse_shim(false);
                self.unanswered.push_back(Unanswered::Signal(answer));
                let target = translate::target(target);
                send(link, &Order::Signal { signal: signal.number().into(), target }).await;
            }
            // What outlives its end is no part of what was asked about: told nothing, as by what has ended.
            Ask::Usage(_) | Ask::Look(_) if self.is_over() => {}
            Ask::Usage(answer) => self.await_count(link, Counter::Usage(answer)).await,
            Ask::Look(answer) => self.await_count(link, Counter::Look(answer)).await,
            Ask::Input(answer) => self.give_input(answer),
            Ask::CloseInput(answer) => {
                self.rouse_shim(false);
                self.await_closed(answer);
                send(link, &Order::CloseInput).await;
            }
            Ask::Kept(answer) => drop(answer.send(self.is_kept())),
            Ask::Settle => {
                self.settled = true;
                return self.acknowledge(link).await;
            }
        }
        None
    }

    /// Has the shim asked who is no part of the tree, once for all who wait.
    async fn await_count(&mut self, link: &Link, counter: Counter) {
        self.counters.push(counter);
        if self.counters.len() == 1 {
            send(link, &Order::Status).await;
        }
    }

    async fn send_stop(&self, link: &Link) {
        if let Some(order) = self.stop {
            let stop = StopOrder { force: order.force, ..StopOrder::new(translate::reason(order.cause)) };
            send(link, &Order::Stop(stop)).await;
        }
    }

    async fn hear(&mut self, link: &Link, notice: Notice, held: Held) -> Option<Stage> {
        match notice {
            Notice::Handed { .. } => {
                self.held = held;
                None
            }
            Notice::Started { identity, .. } => {
                self.held = held.or(std::mem::take(&mut self.held));
                self.see_living(&identity);
                self.hold_input();
                None
            }
            Notice::Exited { record, durable } => {
                self.durable |= durable;
                self.see_input_closed();
                if record.sweeping && !self.is_over() {
                    // Its tree is not empty: whoever waits for its place would run beside what is left of it.
                    self.see_sweep(&record);
                    return None;
                }
                self.see_end(&record);
                self.held = Held::default();
                self.counters.clear();
                while !self.unanswered.is_empty() {
                    self.refuse("it has ended".to_owned());
                }
                self.acknowledge(link).await
            }
            Notice::Refused { why, errno } => {
                let error = errno.map(io::Error::from_raw_os_error);
                let short = error.is_some_and(|error| is_shortage(&error));
                let detail = format!("the supervisor refused the launch: {why}");
                self.refused = Some(Refused { short, detail });
                None
            }
            Notice::Paused { missed, .. } => {
                if missed == 0 {
                    self.is_halted = true;
                    self.answer(Ok(()));
                } else {
                    self.half_halted(link, missed).await;
                }
                None
            }
            Notice::Resumed => {
                self.is_halted = false;
                self.answer(Ok(()));
                None
            }
            Notice::Error { code: ErrorCode::NotDurable, text } => {
                tracing::warn!(id = %self.key.id, text, "an end is not durable in its directory yet");
                None
            }
            Notice::Error { text, .. } => {
                tracing::debug!(id = %self.key.id, text, "a supervisor did not carry out an order");
                self.refuse(text);
                None
            }
            Notice::Status(status) => {
                let is_ending = matches!(status.phase, Phase::Stopping | Phase::Ended);
                if is_ending && !status.survivors.is_empty() {
                    let survivors = &status.survivors;
                    tracing::warn!(id = %self.key.id, ?survivors, "killed, and still alive");
                }
                self.count(status.managers);
                None
            }
            Notice::InputClosed => {
                self.see_input_closed();
                None
            }
            Notice::Signaled { reached } => {
                let nobody = || Err("nobody was there to get it".to_owned());
                self.answer(if reached > 0 { Ok(()) } else { nobody() });
                None
            }
            Notice::Hello(_) => None,
        }
    }

    /// Tells whoever asked about the tree, beside the watch: much of it may have to be read.
    fn count(&mut self, managers: Vec<u32>) {
        let counters = std::mem::take(&mut self.counters);
        if counters.is_empty() {
            return;
        }
        let Some(identity) = self.identity.clone() else {
            for counter in counters {
                counter.refuse("it has not started yet");
            }
            return;
        };
        // Not waited for: each answer goes where it was asked for.
        drop(tokio::task::spawn_blocking(move || {
            let Some(census) = Census::under_shim(&identity, &managers) else {
                return;
            };
            let cgroup = identity.cgroup.as_deref();
            let (mut usage, mut seen) = (None, None);
            for counter in counters {
                match counter {
                    Counter::Usage(answer) => {
                        let usage = *usage.get_or_insert_with(|| census.usage(cgroup));
                        drop(usage.map(|usage| answer.send(Ok(usage))));
                    }
                    Counter::Look(answer) => {
                        let seen = seen.get_or_insert_with(|| look::into(&census, cgroup)).clone();
                        drop(seen.map(|seen| answer.send(Ok(seen))));
                    }
                }
            }
        }));
    }

    /// Confirms the end to the shim, once it is settled here and durable there.
    async fn acknowledge(&mut self, link: &Link) -> Option<Stage> {
        if self.settled && self.durable {
            send(link, &Order::Acknowledge).await;
            return Some(Stage::Left);
        }
        None
    }

    /// Lets a half halted tree go on, which would be worse than one that runs, and tries again: what cannot be halted now
    /// may be elsewhere the next time.
    async fn half_halted(&mut self, link: &Link, missed: u64) {
        let pause = self.unanswered.pop_front();
        self.unanswered.push_back(Unanswered::Undo);
        send(link, &Order::Resume).await;
        match pause {
            Some(Unanswered::Pause { asked, tries }) if tries < HALT_TRIES => {
                let tries = tries.saturating_add(1);
                self.unanswered.push_back(Unanswered::Pause { asked, tries });
                send(link, &Order::Pause).await;
            }
            Some(Unanswered::Pause { asked, .. } | Unanswered::Resume(asked) | Unanswered::Signal(asked)) => {
                drop(asked.send(Err(format!("{missed} of its processes still run"))));
            }
            Some(Unanswered::Undo) | None => {}
        }
    }

    fn answer(&mut self, answer: Result<(), String>) {
        match self.unanswered.pop_front() {
            Some(Unanswered::Pause { asked, .. } | Unanswered::Resume(asked) | Unanswered::Signal(asked)) => {
                drop(asked.send(answer))
            }
            Some(Unanswered::Undo) | None => {}
        }
    }

    fn refuse(&mut self, why: String) {
        match self.unanswered.pop_front() {
            Some(Unanswered::Pause { asked, .. } | Unanswered::Signal(asked)) => drop(asked.send(Err(why))),
            // What ended or is being stopped is not halted any more, which is what was asked for.
            Some(Unanswered::Resume(asked)) => drop(asked.send(Ok(()))),
            Some(Unanswered::Undo) | None => {}
        }
    }
}

/// Waits until a shim is gone that was started here or is known.
pub(super) async fn end_of_shim(shared: &Shared, shim: Option<&mut ShimChild>, identity: Option<&Identity>) {
    if let Some(shim) = shim {
        shim.ended(&shared.reaper).await;
    } else if let Some(identity) = identity
        && let Ok(Some(shim)) = pidfd::open(identity.shim_pid, identity.shim_start)
        && let Err(error) = pidfd::ended(shim).await
    {
        tracing::debug!(%error, "the end of a supervisor cannot be waited for");
    }
}

/// Sends an order; if the shim is gone, that is noticed where it is heard.
async fn send(link: &Link, order: &Order) {
    if let Err(error) = link.send(order).await {
        tracing::debug!(%error, "an order did not reach its supervisor");
    }
}
