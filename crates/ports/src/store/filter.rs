//! Which records to list, and how.

use crate::store::{StoreError, StoredProcess};
use longhaul_domain::{
    AgentId, Level, NodeId, ProcessId, ProcessName, ProcessType, ProjectName, Seq, SessionId, SlotKey, Status,
};

/// Which records to list: all conditions must hold; an empty filter lists everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFilter {
    /// One of these statuses; empty means any.
    pub statuses: Vec<Status>,
    /// Of this session.
    pub session: Option<SessionId>,
    /// Of this project.
    pub project: Option<ProjectName>,
    /// Of this name.
    pub name: Option<ProcessName>,
    /// On this node, or with this label of a reporter.
    pub node: Option<NodeId>,
    /// Owned by this node now.
    pub owner: Option<NodeId>,
    /// Children of this process.
    pub parent: Option<ProcessId>,
    /// Descendants of this process at any depth.
    pub ancestor: Option<ProcessId>,
    /// At this depth.
    pub level: Option<Level>,
    /// Of this concurrency key.
    pub key: Option<SlotKey>,
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// Of this type.
    pub kind: Option<ProcessType>,
    /// Not of this type.
    pub not_kind: Option<ProcessType>,
    /// Whose id begins so: lower-case hexadecimal digits and hyphens, as ids are printed.
    pub id_prefix: Option<String>,
}

/// In which order, from where, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The order.
    pub order: SortOrder,
    /// Go on after this place.
    pub after: Option<PageKey>,
    /// The most records on the page, from 1 to 1,000; what lies outside counts as the nearer of the two.
    pub most: u32,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// By submit sequence, newest first.
    #[default]
    NewestFirst,
    /// By submit sequence, oldest first.
    OldestFirst,
}

/// A place in a list: it stays good whatever happens to other records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageKey(pub Seq);

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The records.
    pub processes: Vec<StoredProcess>,
    /// Where the next page begins; none at the end.
    pub next: Option<PageKey>,
    /// Those that may belong to this part of the list and cannot be read: one that is damaged hides no other.
    pub damaged: Vec<ProcessId>,
}

impl Listing {
    /// This part of the list, for whoever must not miss anybody.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if somebody of it cannot be read.
    pub fn whole(self) -> Result<Self, StoreError> {
        match self.damaged.first() {
            None => Ok(self),
            Some(id) => Err(StoreError::Corrupt {
                what: format!("process {id} cannot be read"),
                remedy: "a lookup of this process alone shows what is wrong with it".to_owned(),
            }),
        }
    }
}

impl ProcessFilter {
    /// Whether a record passes. Adapters that filter by other means are held to this.
    #[must_use]
    pub fn admits(&self, stored: &StoredProcess) -> bool {
        let head = stored.process.head();
        (self.statuses.is_empty() || self.statuses.contains(&head.status))
            && self.session.as_ref().is_none_or(|session| head.session.as_ref() == Some(session))
            && self.project.as_ref().is_none_or(|project| head.project.as_ref() == Some(project))
            && self.name.as_ref().is_none_or(|name| head.name.as_ref() == Some(name))
            && self.node.as_ref().is_none_or(|node| head.node.as_ref() == Some(node))
            && self
                .owner
                .as_ref()
                .is_none_or(|owner| stored.owner.as_ref().map(|lease| &lease.node) == Some(owner))
            && self.parent.is_none_or(|parent| head.ancestors.last() == Some(&parent))
            && self.ancestor.is_none_or(|ancestor| head.ancestors.contains(&ancestor))
            && self.level.is_none_or(|level| head.level == level)
            && self.key.as_ref().is_none_or(|key| head.key.as_ref() == Some(key))
            && self.agent.as_ref().is_none_or(|agent| head.agent.as_ref() == Some(agent))
            && self.kind.as_ref().is_none_or(|kind| &head.kind == kind)
            && self.not_kind.as_ref().is_none_or(|kind| &head.kind != kind)
            && self
                .id_prefix
                .as_ref()
                .is_none_or(|begin| stored.process.id.to_string().starts_with(begin.as_str()))
    }
}
