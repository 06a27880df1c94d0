//! The end of an engine: processes go on, or are all stopped.

use crate::engine::Engine;
use crate::error::EngineError;
use crate::wait::{Goal, Mode};
use longhaul_domain::{Command, ProcessId, Status, StopCause};
use longhaul_ports::{Filter, LeaseEnd, Order, PageAsk};
use std::sync::PoisonError;
use std::time::Duration;

/// What becomes of running processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shutdown {
    /// They go on; the next manager adopts them.
    #[default]
    Leave,
    /// They are stopped within their grace.
    StopAll,
}

/// Past its longest grace a stop gets this long to be verified.
const MARGIN: Duration = Duration::from_secs(1);
const PAGE: u32 = 500;

impl Engine {
    /// Takes nothing new, stops what runs if asked, and leaves the store in good order. Waiting processes stay queued.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read or left.
    pub async fn shut_down(&self, how: Shutdown) -> Result<(), EngineError> {
        self.core.closing.send_replace(true);
        if how == Shutdown::StopAll {
            self.stop_all().await?;
        }
        for task in self.core.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.core.attention.end();
        self.core.listeners.end();
        let is_living = self.core.tenure.is_living(self.core.parts.clock.now());
        self.core.parts.store.leave(&self.core.lease()).await?;
        // What it owns stays its own from here on. Whoever lost its lease before may have nothing left to keep.
        if is_living {
            self.core.parts.spawner.lease_lasts(LeaseEnd::Never).await;
        }
        Ok(())
    }

    /// Ends every task of this engine at once, as a crash would: nothing is said to the store.
    pub fn abandon(&self) {
        self.core.closing.send_replace(true);
        for task in self.core.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.core.attention.end();
        self.core.listeners.end();
    }

    async fn stop_all(&self) -> Result<(), EngineError> {
        let mut patience = Duration::ZERO;
        let mut ids: Vec<ProcessId> = Vec::new();
        let filter = Filter { owner: Some(self.node().clone()), ..Filter::default() };
        let mut page = PageAsk { order: Order::NewestFirst, after: None, most: PAGE };
        loop {
            let listing = self.list(&filter, &page).await?;
            for stored in listing.processes {
                if stored.process.status().is_ended() || stored.process.status() == Status::Pending {
                    continue;
                }
                let grace = stored.process.spec.command().map(|command| command.stop.patience());
                patience = patience.max(grace.unwrap_or_default());
                ids.push(stored.process.id);
            }
            match listing.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        for id in &ids {
            match self.command(*id, Command::Cancel { cause: StopCause::Shutdown }, None).await {
                Ok(_) | Err(EngineError::NotFound { .. }) => {}
                Err(error) => tracing::warn!(%id, %error, "a stop could not be recorded"),
            }
        }
        let waited = self.wait(&ids, Goal::Ended, Mode::All, Some(patience.saturating_add(MARGIN))).await?;
        if waited.timed_out {
            tracing::warn!("some processes are still stopping; the next manager goes on with them");
        }
        Ok(())
    }
}
