//! Takes over the work of a shim that is no longer running. The command keeps running. This module stores its output,
//! stops it if requested, and records how it ended.

mod bounds;
mod drain;
mod stop;
mod tree;

use super::examine::{AttemptWithLeftovers, UnsupervisedAttempt, steady_ms, wall_ms};
use super::pidfd::EndStatus;
use super::watch::{AttemptRequest, AttemptWatch, LastInspection, WatchStage};
use super::{attempts, cgroups, pidfd, translate};
use bounds::LimitUsage;
use drain::OutputDrain;
use longhaul_domain::Interruption;
use longhaul_failpoint::crashpoint;
use longhaul_shim::{AttemptDirectory, ExitRecord, Identity, ProgramEnd};
use std::os::fd::OwnedFd;
use std::time::Duration;
use stop::TakeoverStop;
use tree::{KillOutcome, OrphanedTree};

const SIGKILL: i32 = 9;
const MIN_RETRY_DELAY: Duration = Duration::from_millis(1);
const MAX_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Result of waiting for the command to end.
enum EndWait {
    /// The command has ended. `last_look` is the last inspection at which the command was alive.
    Ended {
        last_look: LastInspection,
    },
    SpawnerGone,
}

/// Acts as the shim of an attempt until the command has ended, and records how it ended.
pub(super) async fn stand_in(watch: &mut AttemptWatch, orphan: UnsupervisedAttempt) -> WatchStage {
    let UnsupervisedAttempt { directory, lock, identity, pidfd } = orphan;
    // If the command has already ended, it is unknown when: at that time there was no shim, or the whole manager was
    // stopped.
    let had_ended = pidfd::is_over(&pidfd);
    watch.note_running(&identity);
    watch.hold_input();
    let tree = OrphanedTree::new(&watch.shared, watch.key, &identity);
    let held = std::mem::take(&mut watch.held);
    let (kept, anchor_ms) = (watch.conduct.output, watch.shared.options.anchor_ms);
    let mut drain = OutputDrain::new(&directory, [held.stdout, held.stderr], kept, anchor_ms);
    let mut bounds = LimitUsage::of(&identity);
    let mut stopping = watch.stop.map(|order| TakeoverStop::new(order, &watch.conduct.stop));
    let last_look = match supervise(watch, &tree, &pidfd, &mut drain, &mut stopping).await {
        Ok(EndWait::Ended { last_look }) => Some(last_look),
        Ok(EndWait::SpawnerGone) => return WatchStage::Left,
        Err(error) => {
            tracing::warn!(id = %watch.key.id, %error, "could not take over a command after the loss of \
                its supervisor");
            None
        }
    };
    let ended_at = steady_ms(&watch.shared.options);
    drain.finish();
    bounds.see_end();
    if let Err(error) = watch.end_input() {
        tracing::debug!(id = %watch.key.id, %error, "could not remove the input pipe of an ended command");
    }
    let status = pidfd::status(&pidfd, identity.pid, identity.start_time);
    let Some(status) = watch.meanwhile(status).await else {
        return WatchStage::Left;
    };
    watch.shared.reaper.release(identity.pid);
    let killed = stopping.as_ref().is_some_and(|stopping| stopping.last_signal() == Some(SIGKILL));
    let limit = match status.map(ending_of) {
        Some(ending) => bounds.exceeded(ending, killed, &watch.shared.options).await,
        None => None,
    };
    let is_explained = stopping.is_some() || limit.is_some();
    let ending = match judge(status, is_explained) {
        Ok(ending) => ending,
        Err(why) => {
            let Some(emptied) = watch.meanwhile(tree.empty()).await else {
                return WatchStage::Left;
            };
            watch.see_loss(why, emptied.is_verified);
            return WatchStage::Over;
        }
    };
    let mut record = ExitRecord::never_ran(ended_at, wall_ms());
    record.undated = had_ended || last_look.is_none_or(|look| look.is_long_before(ended_at));
    record.ending = ending;
    record.limit = limit;
    record.run_ms = record.ended_at.saturating_sub(identity.started_at);
    record.output_bytes = drain.length();
    record.dropped_bytes = drain.dropped();
    match &stopping {
        Some(stopping) => {
            record.stopped = Some(stopping.reason());
            record.escalated = stopping.last_signal();
            let emptied = tree.empty().await;
            record.swept = emptied.killed;
            record.unverified = !emptied.is_verified;
        }
        None => {
            record.paused = watch.is_halted;
            let others = tree.others().await;
            record.leftovers = others.count;
            record.sweeping = watch.conduct.sweep && (others.count > 0 || !others.is_verified);
            record.unverified = !watch.conduct.sweep && !others.is_verified;
            record.settled = !record.sweeping;
        }
    }
    crashpoint!("os.stand_in.ended");
    record_end(watch, &directory, &record);
    if record.sweeping {
        let place = Some((directory, lock));
        return end_leftovers(watch, &tree, record, place, drain).await;
    }
    watch.see_end(&record);
    drop(lock);
    WatchStage::Over
}

/// Writes an exit record durably into the attempt directory. An error is only logged, because the store also has a
/// record.
fn record_end(watch: &mut AttemptWatch, directory: &AttemptDirectory, record: &ExitRecord) {
    match attempts::record_end(directory, record) {
        Ok(()) => watch.durable = true,
        Err(error) => {
            tracing::warn!(id = %watch.key.id, %error, "could not write the exit record of an attempt");
        }
    }
}

/// Kills the leftovers of a command whose shim was killed before it had killed them, and reports how the command ended.
pub(super) async fn finish_sweep(watch: &mut AttemptWatch, unswept: AttemptWithLeftovers) -> WatchStage {
    let AttemptWithLeftovers { place, identity, record } = unswept;
    let Some(identity) = identity.or_else(|| watch.identity().cloned()) else {
        // Without the identity it is impossible to determine which processes belong to the tree.
        watch.see_end(&ExitRecord { unverified: true, ..record });
        return WatchStage::Over;
    };
    watch.see_ending(&identity);
    if let Err(error) = watch.end_input() {
        tracing::debug!(id = %watch.key.id, %error, "could not remove the input pipe of an ended command");
    }
    let held = std::mem::take(&mut watch.held);
    let (kept, anchor_ms) = (watch.conduct.output, watch.shared.options.anchor_ms);
    let drain = match &place {
        Some((directory, _)) => OutputDrain::new(directory, [held.stdout, held.stderr], kept, anchor_ms),
        None => OutputDrain::nowhere(),
    };
    let tree = OrphanedTree::new(&watch.shared, watch.key, &identity);
    end_leftovers(watch, &tree, record, place, drain).await
}

/// Kills processes until the tree is empty, then reports how the command ended.
async fn end_leftovers(
    watch: &mut AttemptWatch,
    tree: &OrphanedTree,
    mut record: ExitRecord,
    place: Option<(AttemptDirectory, OwnedFd)>,
    mut drain: OutputDrain,
) -> WatchStage {
    watch.see_sweep(&record);
    let Some(emptied) = watch.meanwhile(tree.empty()).await else {
        // The exit record on the disk still has `sweeping` set, so the next manager continues the clean-up.
        return WatchStage::Left;
    };
    drain.finish();
    record.sweeping = false;
    record.settled = true;
    record.swept = record.swept.saturating_add(emptied.killed);
    record.unverified = !emptied.is_verified;
    record.output_bytes = record.output_bytes.max(drain.length());
    record.dropped_bytes = record.dropped_bytes.max(drain.dropped());
    if let Some((directory, _lock)) = &place {
        record_end(watch, directory, &record);
    }
    watch.see_end(&record);
    WatchStage::Over
}

/// Kills the leftovers of an attempt whose shim and command have both ended. Returns `None` if the spawner is dropped
/// first.
pub(super) async fn sweep(watch: &mut AttemptWatch, identity: &Identity) -> Option<KillOutcome> {
    let tree = OrphanedTree::new(&watch.shared, watch.key, identity);
    let emptied = watch.meanwhile(tree.empty()).await?;
    // Remove the control group here: the watch never received the identity of the shim and has no record of the group.
    if let Some(cgroup) = &identity.cgroup {
        cgroups::remove(cgroup);
    }
    Some(emptied)
}

/// Stores output and executes requests until the command has ended.
async fn supervise(
    watch: &mut AttemptWatch,
    tree: &OrphanedTree,
    command: &OwnedFd,
    drain: &mut OutputDrain,
    stopping: &mut Option<TakeoverStop>,
) -> std::io::Result<EndWait> {
    let ended = pidfd::watch(command)?;
    let mut last_look = LastInspection::at(steady_ms(&watch.shared.options));
    let mut next_look = tokio::time::interval(LastInspection::INTERVAL);
    loop {
        if let Some(stopping) = stopping {
            stopping.advance(tree).await;
        }
        let due = async {
            match stopping {
                Some(stopping) => tokio::time::sleep_until(stopping.due()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = ended.readable() => return done.map(|()| EndWait::Ended { last_look }),
            ask = watch.asks.recv() => match ask {
                None => return Ok(EndWait::SpawnerGone),
                Some(AttemptRequest::Find(answer)) => watch.find(answer),
                // The command had ended before the stop was requested, so the stop did not end it.
                Some(AttemptRequest::Stop(_)) if pidfd::is_over(command) => {}
                Some(AttemptRequest::Stop(order)) => {
                    watch.note_stop(order);
                    let stopping = stopping.get_or_insert_with(|| TakeoverStop::new(order, &watch.conduct.stop));
                    if order.force {
                        stopping.force();
                    }
                }
                Some(AttemptRequest::Pause(answer)) => {
                    let held = tree.hold().await;
                    watch.is_halted = held.is_ok();
                    drop(answer.send(held));
                }
                Some(AttemptRequest::Resume(answer)) => {
                    tree.release().await;
                    watch.is_halted = false;
                    drop(answer.send(Ok(())));
                }
                Some(AttemptRequest::Signal(sent, answer)) => drop(answer.send(tree.send(sent).await)),
                Some(AttemptRequest::Usage(answer)) => {
                    let tree = tree.clone();
                    // Runs in a separate task. If the caller no longer waits, the answer is dropped.
                    drop(tokio::spawn(async move {
                        if let Some(usage) = tree.usage().await {
                            drop(answer.send(Ok(usage)));
                        }
                    }));
                }
                Some(AttemptRequest::Look(answer)) => {
                    let tree = tree.clone();
                    drop(tokio::spawn(async move {
                        if let Some(seen) = tree.look().await {
                            drop(answer.send(Ok(seen)));
                        }
                    }));
                }
                Some(AttemptRequest::Input(answer)) => watch.give_input(answer),
                Some(AttemptRequest::CloseInput(answer)) => {
                    drop(answer.send(watch.end_input().map_err(|error| error.to_string())));
                }
                Some(AttemptRequest::Kept(answer)) => drop(answer.send(watch.is_durable())),
                // The end of the attempt is stored already. Continue to observe and report later events.
                Some(AttemptRequest::Settle) => {}
            },
            () = due => {}
            _ = next_look.tick() => {
                if !pidfd::is_over(command) {
                    last_look = LastInspection::at(steady_ms(&watch.shared.options));
                }
            }
            () = drain.step() => {}
        }
    }
}

/// Determines how an attempt ended from the status that the kernel reports. `is_explained` is true if a stop was
/// requested or a limit was exceeded.
fn judge(status: Option<EndStatus>, is_explained: bool) -> Result<ProgramEnd, Interruption> {
    match status {
        // Whatever killed the shim has most likely killed the command too. This is not a failure of the command.
        Some(EndStatus::Signal { number: SIGKILL, .. }) if !is_explained => {
            Err(translate::killed("the command was then killed by signal 9"))
        }
        Some(status) => Ok(ending_of(status)),
        None => Err(translate::killed("the command ended later, and the kernel hides its exit status")),
    }
}

const fn ending_of(status: EndStatus) -> ProgramEnd {
    match status {
        EndStatus::Code(code) => ProgramEnd::Exited { code },
        EndStatus::Signal { number, core } => ProgramEnd::Signaled { signal: number, core },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_that_this_program_did_not_send_is_not_a_failure_of_the_command() {
        let killed = Some(EndStatus::Signal { number: SIGKILL, core: false });
        assert!(judge(killed, false).is_err());
        assert_eq!(judge(killed, true), Ok(ProgramEnd::Signaled { signal: SIGKILL, core: false }));
    }

    #[test]
    fn the_exit_status_from_the_kernel_is_used() {
        assert_eq!(judge(Some(EndStatus::Code(7)), false), Ok(ProgramEnd::Exited { code: 7 }));
        let crash = Some(EndStatus::Signal { number: 11, core: true });
        assert_eq!(judge(crash, false), Ok(ProgramEnd::Signaled { signal: 11, core: true }));
        assert!(judge(None, true).is_err());
    }
}
