//! Use cases of the API, with one module for each kind of object.

mod control;
mod input;
mod launch;
mod list;
mod maintenance;
mod node;
mod queue;
mod report;
mod session;
mod show;
mod stats;
mod test_run;
mod wait;

use crate::convert::LaunchDefaults;
use crate::events::EventBroadcast;
use crate::metrics::Metrics;
use crate::peers::PeerClient;
use longhaul_engine::Engine;
use longhaul_wire::api::{RetentionView, VersionReply};
use std::sync::Arc;
use std::time::Duration;

/// The use cases of longhaul and the components that they need. Clones share the components.
///
/// A `reference` identifies a process. It is an id, `bg-<id>`, a unique id prefix of 4 or more characters, a name,
/// `agent:<agent id>`, or `@last`. The parameter `expected` is the revision of the process that the caller last read: an
/// action is refused if the process now has a different revision.
#[derive(Clone, Debug)]
pub struct Api {
    /// Engine that executes the actions.
    pub engine: Engine,
    /// Version and identity of this manager.
    pub about: Arc<VersionReply>,
    /// Default settings for values that a launch request leaves out.
    pub defaults: LaunchDefaults,
    /// Rule for pruning the records of ended processes. `None` means that no records are pruned.
    pub retention: Option<RetentionView>,
    /// Counters for the metrics endpoint.
    pub metrics: Metrics,
    /// Distributes events to all readers of event streams.
    pub relay: EventBroadcast,
    /// Time window of completion batches. Processes of a session that end within this window are reported as one batch.
    pub notice_window: Duration,
    /// Client that requests data from other nodes if this node does not have the data.
    pub peers: PeerClient,
}

impl Api {
    /// Returns a copy that serves requests from other nodes. The copy replies with local data only and forwards
    /// nothing.
    #[must_use]
    pub fn for_peer(&self) -> Self {
        Self { peers: PeerClient::forbidden(), ..self.clone() }
    }
}
