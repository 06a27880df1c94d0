//! Whether the server can keep what the store promises, which somebody may change while it is used.

use super::Durability;
use super::failure::RedisFailureClass;
use super::server::ServerInfo;
use super::unsuitable::UnsuitableServer;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A server that was well is looked at again by a write that comes so much later.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// One that was not, so that it is used again soon after it was mended.
const BROKEN_PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Whether the server can keep what the store promises, as it was when it was looked at last.
#[derive(Debug)]
pub(super) struct DurabilityCheck {
    durability: Durability,
    last: Mutex<Option<DurabilityProbe>>,
}

/// What was seen at a look.
#[derive(Debug)]
struct DurabilityProbe {
    at: Instant,
    found: Result<(), UnsuitableServer>,
}

impl DurabilityCheck {
    pub(super) const fn new(durability: Durability) -> Self {
        Self { durability, last: Mutex::new(None) }
    }

    pub(super) const fn durability(&self) -> Durability {
        self.durability
    }

    /// Looks at the server of a new connection, which may be another one or have other settings.
    ///
    /// The first look of all takes a missing replica for a fault. Later each write waits for the replicas by itself.
    pub(super) async fn look(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let faults = match ServerInfo::ask(connection).await {
            Ok(facts) => facts.faults(self.durability),
            Err(error) if RedisFailureClass::on(&error) == RedisFailureClass::Forbidden => {
                vec![UnsuitableServer::Silent { what: "state", command: "info" }]
            }
            Err(error) => return Err(error),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = last.is_none();
        let fault = faults.into_iter().find(|fault| is_first || !fault.is_met_by_each_write());
        let found = fault.map_or(Ok(()), Err);
        match (last.as_ref().map(|look| &look.found), &found) {
            (Some(Ok(())), Err(fault)) => {
                tracing::error!(%fault, "the store cannot keep its promise: nothing is written to it until it can");
            }
            (Some(Err(_)), Ok(())) => tracing::info!("the store keeps its promise again"),
            (Some(Err(_)), Err(_)) | (Some(Ok(())), Ok(())) | (None, _) => {}
        }
        *last = Some(DurabilityProbe { at: Instant::now(), found });
        Ok(())
    }

    /// Tells why nothing may be written, if so; it looks again if the last look is long ago.
    pub(super) async fn broken(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<Option<UnsuitableServer>, RedisError> {
        if self.is_look_due() {
            self.look(connection).await?;
        }
        Ok(self.fault())
    }

    /// What was wrong at the last look.
    pub(super) fn fault(&self) -> Option<UnsuitableServer> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().and_then(|look| look.found.clone().err())
    }

    /// Whether it is time for a look, which is then taken by whoever asked: the others go by the one before.
    fn is_look_due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(look) = last.as_mut() else { return true };
        let every = if look.found.is_ok() { PROBE_INTERVAL } else { BROKEN_PROBE_INTERVAL };
        let is_due = look.at.elapsed() >= every;
        if is_due {
            look.at = Instant::now();
        }
        is_due
    }
}
