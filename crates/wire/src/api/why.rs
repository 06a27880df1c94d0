//! Why a process waits.

use crate::api::HoldView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a process waits, and for whom. Fields that do not apply are null or empty, never missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WhyView {
    /// The process.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Where it stands.
    pub status: String,
    /// `not_waiting`, `queued`, `held`, `node_full`, `settling`, `delayed`, `retry` or `no_node`.
    pub why: String,
    /// The same in one sentence.
    pub reason: String,
    /// The key that it waits for a slot of.
    pub key: Option<String>,
    /// Its place among those that wait for the same; 1 is next.
    pub position: Option<u32>,
    /// How many wait before it.
    pub ahead: Option<u32>,
    /// Slots of the key, or roots that its node runs at once; null means no limit.
    pub slots: Option<u32>,
    /// Who has what it waits for, in the order of their submits.
    pub holders: Vec<HolderView>,
    /// Every slot is held by an ancestor of somebody who waits for one: nothing moves until a limit is raised or one of
    /// them ends.
    pub deadlocked: bool,
    /// Since when and by whom its queue is held.
    pub held: Option<HoldView>,
    /// When it is due, if it waits for a moment.
    pub due_at: Option<String>,
    /// Which attempt comes next, if it waits for a retry.
    pub next_attempt: Option<u32>,
    /// How the last attempt ended, if it waits for a retry.
    pub last_error: Option<String>,
    /// Where alone it may run, if nobody is there.
    pub placement: Option<String>,
    /// Since when it waits or was accepted.
    pub queued_at: String,
    /// When this was true.
    pub at: String,
}

/// Who has what others wait for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HolderView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Where it stands; null if it is gone already.
    pub status: Option<String>,
    /// When its latest attempt began.
    pub started_at: Option<String>,
}
