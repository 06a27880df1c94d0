//! The start of an attempt.

use super::child::ShimChild;
use super::{Stage, Watch};
use crate::os::launch;
use crate::os::link::Link;
use crate::os::spawner::Shared;
use longhaul_domain::{StartFailure, StartStage};
use longhaul_ports::StartOrder;
use longhaul_shim::{ExitRecord, Launch, Order};
use rustix::io::Errno;
use std::io;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::Arc;
use tokio::sync::oneshot;

/// How a watch begins.
#[derive(Debug)]
pub(crate) enum Beginning {
    /// With the order to start, answered once it is taken or refused.
    Start {
        /// The order.
        order: Box<StartOrder>,
        /// The answer.
        answer: oneshot::Sender<Result<(), StartFailure>>,
    },
    /// With a look at what another life has started.
    Adopt,
}

/// What became of an order to start.
enum Begun {
    /// A shim was started and waits for this launch.
    Shim { child: Child, socket: UnixStream, launch: Box<Launch> },
    /// It was started before.
    Before,
    /// Nothing was started, for want of something that may be there the next time.
    Never { why: String },
}

impl Watch {
    /// Starts the shim and gives it the launch.
    pub(super) async fn start(
        &mut self,
        order: StartOrder,
        answer: oneshot::Sender<Result<(), StartFailure>>,
    ) -> Stage {
        let shared = Arc::clone(&self.shared);
        let begun = tokio::task::spawn_blocking(move || begin(&shared, &order)).await;
        let begun = begun.unwrap_or_else(|error| Err(unstarted(&io::Error::other(error))));
        match begun {
            Err(failure) => {
                // Forgotten before the answer, so that whoever has it finds no watch any more.
                self.leave();
                drop(answer.send(Err(failure)));
                Stage::Left
            }
            Ok(begun) => {
                drop(answer.send(Ok(())));
                match begun {
                    Begun::Before => Stage::Examine,
                    Begun::Never { why } => {
                        tracing::warn!(id = %self.key.id, attempt = %self.key.attempt, why, "nothing was started");
                        self.see_end(&ExitRecord::never_ran(0, 0));
                        Stage::Over
                    }
                    Begun::Shim { child, socket, launch } => self.launch(child, socket, launch).await,
                }
            }
        }
    }

    async fn launch(&mut self, child: Child, socket: UnixStream, launch: Box<Launch>) -> Stage {
        self.shim = Some(ShimChild::new(child));
        let link = match Link::new(socket) {
            Ok(link) => link,
            Err(error) => {
                tracing::warn!(%error, "the connection to a new supervisor cannot be used");
                // Its socket is closed with this, so that it leaves without a launch.
                return self.outlive_shim().await;
            }
        };
        match link.send(&Order::Launch(launch)).await {
            Ok(()) => Stage::Supervised(Box::new(link)),
            Err(_) => {
                drop(link);
                self.outlive_shim().await
            }
        }
    }
}

/// Makes the directory of the attempt and starts its shim.
fn begin(shared: &Shared, order: &StartOrder) -> Result<Begun, StartFailure> {
    let key = order.key;
    if shared.attempts.attempt(key).map_err(|error| unstarted(&error))?.is_some() {
        return Ok(Begun::Before);
    }
    let launch = Box::new(launch::prepare(order, &shared.options, shared.cgroup(key))?);
    match shared.attempts.create(key) {
        Ok(true) => {}
        Ok(false) => return Ok(Begun::Before),
        Err(error) if is_shortage(&error) => return Ok(Begun::Never { why: error.to_string() }),
        Err(error) => return Err(unstarted(&error)),
    }
    let path = shared.attempts.path_of(key);
    match shared.reaper.start(|| longhaul_shim::start(&shared.options.shim, &path)) {
        Ok((child, socket)) => Ok(Begun::Shim { child, socket, launch }),
        Err(error) => {
            // If it cannot be taken back, an empty directory is closed as one that never ran by whoever looks at it.
            if let Err(kept) = shared.attempts.discard(key) {
                tracing::debug!(%kept, "an empty attempt directory stays");
            }
            if is_shortage(&error) {
                return Ok(Begun::Never { why: error.to_string() });
            }
            let shim = shared.options.shim.display();
            let detail = format!("the supervisor {shim} cannot be started: {error}");
            Err(StartFailure { stage: StartStage::Supervisor, errno: error.raw_os_error(), detail })
        }
    }
}

fn unstarted(error: &io::Error) -> StartFailure {
    let detail = format!("the directory of the attempt cannot be made: {error}");
    StartFailure { stage: StartStage::Supervisor, errno: error.raw_os_error(), detail }
}

/// Whether something ran short that others may give back.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
    error.raw_os_error().is_some_and(|raw| shortages.iter().any(|errno| errno.raw_os_error() == raw))
}
