//! The use cases, one file for each noun.

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
mod wait;

use crate::convert::LaunchDefaults;
use crate::events::EventBroadcast;
use crate::metrics::Metrics;
use crate::peers::PeerClient;
use longhaul_engine::Engine;
use longhaul_wire::api::{RetentionView, VersionReply};
use std::sync::Arc;
use std::time::Duration;

/// The use cases, and what they work with. Clones share it.
///
/// A `reference` is an id, `bg-<id>`, a unique prefix of 4 or more characters, a name, or `@last`. Commands to one
/// process take the revision that they were decided on: they are refused if it has moved on from there.
#[derive(Clone, Debug)]
pub struct Api {
    /// Does the work.
    pub engine: Engine,
    /// Who answers.
    pub about: Arc<VersionReply>,
    /// What a launch gets that asks for nothing else.
    pub defaults: LaunchDefaults,
    /// The rule by which ended records are let go; none keeps them.
    pub retention: Option<RetentionView>,
    /// What was counted.
    pub metrics: Metrics,
    /// Where everybody listens to events.
    pub relay: EventBroadcast,
    /// What ends within such a time is reported to its session at once.
    pub notice_window: Duration,
    /// How other nodes are asked for what only they have.
    pub peers: PeerClient,
}

impl Api {
    /// The same for what another node asks: it is told what is here, and nothing is passed on.
    #[must_use]
    pub fn for_peer(&self) -> Self {
        Self { peers: PeerClient::forbidden(), ..self.clone() }
    }
}
