//! Checks that the server can guarantee the durability of the store. The check is repeated, because the server's
//! settings may change during operation.

use super::Durability;
use super::failure::RedisFailureClass;
use super::server::ServerInfo;
use super::unsuitable::UnsuitableServer;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Maximum age of a successful check. If the last check is older, a write checks the server again.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// Maximum age of a failed check. It is shorter, so that a repaired server is used again soon.
const BROKEN_PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Cached result of the durability check.
#[derive(Debug)]
pub(super) struct DurabilityCheck {
    durability: Durability,
    last: Mutex<Option<DurabilityProbe>>,
}

/// Result of one check.
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

    /// Checks the server of a new connection, because it may be another server or have other settings than before.
    ///
    /// Missing replicas make only the very first check fail. Later, each write detects missing replicas itself.
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
                tracing::error!(%fault, "the server stopped providing the required durability: the manager \
                    refuses writes until the server provides it again");
            }
            (Some(Err(_)), Ok(())) => tracing::info!("the server provides the required durability again"),
            (Some(Err(_)), Err(_)) | (Some(Ok(())), Ok(())) | (None, _) => {}
        }
        *last = Some(DurabilityProbe { at: Instant::now(), found });
        Ok(())
    }

    /// Returns the reason why no write is allowed, or `None` if writes are allowed. Checks the server again if the last
    /// check is too old.
    pub(super) async fn broken(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<Option<UnsuitableServer>, RedisError> {
        if self.is_look_due() {
            self.look(connection).await?;
        }
        Ok(self.fault())
    }

    /// Returns the fault that the last check found.
    pub(super) fn fault(&self) -> Option<UnsuitableServer> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().and_then(|look| look.found.clone().err())
    }

    /// Returns true if a check is due. The caller must then do the check. Until it is done, other callers use the
    /// previous result.
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
