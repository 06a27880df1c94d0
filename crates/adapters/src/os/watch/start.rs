//! The start of an attempt.

use super::child::ShimChild;
use super::{AttemptRequest, AttemptState, AttemptWatch, ShimRefusal, WatchStage};
use crate::os::artifacts;
use crate::os::input::InputError;
use crate::os::launch;
use crate::os::link::ShimLink;
use crate::os::spawner::SpawnerShared;
use longhaul_domain::{Observation, StartFailure, StartStage};
use longhaul_failpoint::{crashpoint, failpoint};
use longhaul_ports::{AttemptKey, StartRequest};
use longhaul_shim::{ExitRecord, LaunchOrder, ShimRequest, is_shortage};
use std::io;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Delays before a start is tried again after a resource was not available: the first delay and the maximum delay.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// How a watch begins.
#[derive(Debug)]
pub(crate) enum WatchBegin {
    /// Start a new attempt.
    Start {
        order: Box<StartRequest>,
        /// Reply channel. The reply shows whether the request was accepted or refused.
        answer: oneshot::Sender<Result<(), StartFailure>>,
    },
    /// Adopt an attempt that an earlier manager started.
    Adopt,
}

/// A start whose command is not yet running. The start may have to be tried again.
#[derive(Debug)]
pub(super) struct PendingStart {
    order: Arc<StartRequest>,
    /// Reply channel of the caller; `None` after the reply.
    answer: Option<oneshot::Sender<Result<(), StartFailure>>>,
    /// Delay before the next try of the start.
    pause: Duration,
    /// True if an earlier try created the attempt directory but started no shim in it.
    made: bool,
}

/// Result of one try to start.
enum StartAttempt {
    /// A shim was started. It is waiting for this launch order.
    Shim { child: Child, socket: UnixStream, launch: Box<LaunchOrder> },
    /// The attempt was already started earlier.
    Before,
    /// Nothing was started, because a resource was not available. It may be available later.
    Short { why: String, made: bool },
}

impl PendingStart {
    pub(super) fn new(order: Box<StartRequest>, answer: oneshot::Sender<Result<(), StartFailure>>) -> Self {
        let order = Arc::from(order);
        Self { order, answer: Some(answer), pause: MIN_RETRY_DELAY, made: false }
    }

    /// Answers that the request was accepted, unless it was already answered.
    fn accept(&mut self) {
        if let Some(answer) = self.answer.take() {
            drop(answer.send(Ok(())));
        }
    }

    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(MAX_RETRY_DELAY);
        pause
    }
}

impl AttemptWatch {
    /// Starts the shim and sends it the launch order. If a resource is not available, accepts the request and tries the
    /// start again later.
    pub(super) async fn start(&mut self) -> WatchStage {
        let Some(mut starting) = self.starting.take() else {
            return WatchStage::Examine;
        };
        loop {
            let (shared, order, made) =
                (Arc::clone(&self.shared), Arc::clone(&starting.order), starting.made);
            let begun = tokio::task::spawn_blocking(move || begin(&shared, &order, made)).await;
            match begun.unwrap_or_else(|error| Err(unstarted(&io::Error::other(error)))) {
                Err(failure) => return self.refuse_start(*starting, failure),
                Ok(StartAttempt::Before) => {
                    starting.accept();
                    return WatchStage::Examine;
                }
                Ok(StartAttempt::Shim { child, socket, launch }) => {
                    starting.accept();
                    starting.made = false;
                    self.starting = Some(starting);
                    return self.launch(child, socket, launch).await;
                }
                Ok(StartAttempt::Short { why, made }) => {
                    starting.accept();
                    starting.made = made;
                    if let Some(stage) = self.sleep_unless_stopped(&why, starting.next_pause()).await {
                        return stage;
                    }
                }
            }
        }
    }

    /// Removes the files of a shim that refused the launch for lack of a resource, and prepares another try.
    pub(super) async fn start_over(&mut self, why: &str) -> WatchStage {
        let Some(mut starting) = self.starting.take() else {
            return WatchStage::Examine;
        };
        loop {
            if let Some(stage) = self.sleep_unless_stopped(why, starting.next_pause()).await {
                return stage;
            }
            let (shared, key) = (Arc::clone(&self.shared), self.key);
            let cleared = tokio::task::spawn_blocking(move || shared.attempts.clear(key)).await;
            match cleared.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(true) => {
                    self.starting = Some(starting);
                    return WatchStage::Starting;
                }
                Ok(false) => return WatchStage::Examine,
                Err(error) if is_shortage(&error) => {}
                Err(error) => {
                    tracing::warn!(id = %self.key.id, %error, "could not remove the files of an earlier supervisor");
                    return WatchStage::Examine;
                }
            }
        }
    }

    fn refuse_start(&mut self, starting: PendingStart, failure: StartFailure) -> WatchStage {
        match starting.answer {
            Some(answer) => {
                // Remove the watch before the answer, so that a caller that has received the answer does not find the
                // watch.
                self.leave();
                drop(answer.send(Err(failure)));
                WatchStage::Left
            }
            None => {
                self.set_state(AttemptState::Over(Observation::SpawnFailed {
                    attempt: self.key.attempt,
                    failure,
                }));
                WatchStage::Over
            }
        }
    }

    /// Waits until the next try. If a stop is requested, records that the attempt never ran.
    async fn sleep_unless_stopped(&mut self, why: &str, pause: Duration) -> Option<WatchStage> {
        tracing::warn!(
            id = %self.key.id, attempt = %self.key.attempt, why, ?pause,
            "postponed the start of a process"
        );
        let unstarted = || "the command has not started yet".to_owned();
        let next = tokio::time::Instant::now() + pause;
        loop {
            if self.stop.is_some() || self.settled {
                self.see_end(&ExitRecord::never_ran(0, 0));
                return Some(WatchStage::Over);
            }
            tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(AttemptRequest::Find(answer)) => self.find(answer),
                    Some(AttemptRequest::Stop(order)) => self.note_stop(order),
                    Some(
                        AttemptRequest::Pause(answer)
                        | AttemptRequest::Signal(_, answer)
                        | AttemptRequest::CloseInput(answer)
                        | AttemptRequest::Kept(answer),
                    ) => {
                        drop(answer.send(Err(unstarted())));
                    }
                    // The request succeeds, because a command that has not started is not paused.
                    Some(AttemptRequest::Resume(answer)) => drop(answer.send(Ok(()))),
                    Some(AttemptRequest::Usage(answer)) => drop(answer.send(Err(unstarted()))),
                    Some(AttemptRequest::Look(answer)) => drop(answer.send(Err(unstarted()))),
                    Some(AttemptRequest::Input(answer)) => drop(answer.send(Err(InputError::Failed(unstarted())))),
                    Some(AttemptRequest::Settle) => self.settled = true,
                    None => return Some(WatchStage::Left),
                },
                () = tokio::time::sleep_until(next) => return None,
            }
        }
    }

    async fn launch(&mut self, child: Child, socket: UnixStream, launch: Box<LaunchOrder>) -> WatchStage {
        self.shim = Some(ShimChild::new(child));
        let link = match ShimLink::new(socket) {
            Ok(link) => link,
            Err(error) => {
                tracing::warn!(%error, "could not use the connection to a new supervisor");
                // Returning closes the socket, so that the shim exits without starting the command.
                self.refused = Some(ShimRefusal { short: is_shortage(&error), detail: error.to_string() });
                return self.outlive_shim().await;
            }
        };
        if let Err(error) = link.send(&ShimRequest::Launch(launch)).await {
            // Continue, because the shim may have sent the reason before it exited.
            tracing::debug!(id = %self.key.id, %error, "could not send the launch to a new supervisor");
        }
        crashpoint!("os.launch.sent");
        WatchStage::Supervised(Box::new(link))
    }
}

/// Creates the directory of the attempt and starts its shim.
fn begin(shared: &SpawnerShared, order: &StartRequest, made: bool) -> Result<StartAttempt, StartFailure> {
    let key = order.key;
    let short = |error: &io::Error, made| Ok(StartAttempt::Short { why: error.to_string(), made });
    if !made {
        match shared.attempts.attempt(key) {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(StartAttempt::Before),
            Err(error) if is_shortage(&error) => return short(&error, false),
            Err(error) => return Err(unstarted(&error)),
        }
    }
    let launch = match launch::prepare(order, &shared.options, shared.lease.path(), shared.cgroup(key)) {
        Ok(launch) => Box::new(launch),
        Err(failure) => match failure.errno.map(io::Error::from_raw_os_error) {
            Some(error) if is_shortage(&error) => {
                return Ok(StartAttempt::Short { why: failure.detail, made });
            }
            Some(_) | None => {
                discard(shared, key, made);
                return Err(failure);
            }
        },
    };
    if !made {
        match shared.attempts.create(key) {
            Ok(true) => {}
            Ok(false) => return Ok(StartAttempt::Before),
            Err(error) if is_shortage(&error) => return short(&error, false),
            Err(error) => return Err(unstarted(&error)),
        }
    }
    if !order.command.artifacts.is_empty()
        && let Err(error) = mark_directory(shared, order)
    {
        // Without the mark, the artifacts are copied only if the path of the directory contains no links.
        tracing::debug!(id = %key.id, %error, "could not store the identity of a working directory");
    }
    let path = shared.attempts.path_of(key);
    let started = shared.reaper.start(|| {
        failpoint!("os.shim.start")?;
        longhaul_shim::start(&shared.options.shim, &path)
    });
    crashpoint!("os.shim.started");
    match started {
        Ok((child, socket)) => Ok(StartAttempt::Shim { child, socket, launch }),
        Err(error) if is_shortage(&error) => short(&error, true),
        Err(error) => {
            discard(shared, key, true);
            let shim = shared.options.shim.display();
            let detail = format!("the supervisor {shim} cannot be started: {error}");
            Err(StartFailure { stage: StartStage::Supervisor, errno: error.raw_os_error(), detail })
        }
    }
}

fn mark_directory(shared: &SpawnerShared, order: &StartRequest) -> io::Result<()> {
    let Some(directory) = shared.attempts.attempt(order.key)? else { return Ok(()) };
    failpoint!("os.artifacts.mark")?;
    artifacts::mark_directory(&directory, &order.command.directory)
}

/// Removes the attempt directory if this start created it.
fn discard(shared: &SpawnerShared, key: AttemptKey, made: bool) {
    // If the empty directory remains, the next examination records that the attempt never ran.
    if made && let Err(kept) = shared.attempts.discard(key) {
        tracing::debug!(%kept, "could not remove an empty attempt directory");
    }
}

fn unstarted(error: &io::Error) -> StartFailure {
    let detail = format!("the directory of the attempt cannot be created: {error}");
    StartFailure { stage: StartStage::Supervisor, errno: error.raw_os_error(), detail }
}
