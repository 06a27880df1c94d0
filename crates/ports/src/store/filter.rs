//! The filter, the order and the pages of a process list.

use crate::store::{StoreError, StoredProcess};
use longhaul_domain::{
    AgentId, Level, NodeId, ProcessId, ProcessName, ProcessType, ProjectName, Seq, SessionId, SlotKey, Status,
};

/// Conditions for the processes of a list. A process is listed if it meets all of them; an empty filter selects every
/// process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFilter {
    /// Processes with one of these statuses; empty selects all statuses.
    pub statuses: Vec<Status>,
    /// Processes of this session.
    pub session: Option<SessionId>,
    /// Processes of this project.
    pub project: Option<ProjectName>,
    /// Processes with this name.
    pub name: Option<ProcessName>,
    /// Processes on this node, and reported work whose reporter gave this name as its node.
    pub node: Option<NodeId>,
    /// Processes that this node currently owns.
    pub owner: Option<NodeId>,
    /// Children of this process.
    pub parent: Option<ProcessId>,
    /// Descendants of this process at any depth.
    pub ancestor: Option<ProcessId>,
    /// Processes on this level of their tree.
    pub level: Option<Level>,
    /// Processes with this concurrency key.
    pub key: Option<SlotKey>,
    /// Processes of this agent.
    pub agent: Option<AgentId>,
    /// Processes of this type.
    pub kind: Option<ProcessType>,
    /// Processes of all types except this one.
    pub not_kind: Option<ProcessType>,
    /// Processes whose id starts with this text, in the printed form of ids: lower-case hexadecimal digits and hyphens.
    pub id_prefix: Option<String>,
}

/// Order, start and size of one page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Order of the list.
    pub order: SortOrder,
    /// Position after which the page starts; `None` starts at the first record.
    pub after: Option<PageKey>,
    /// Maximum number of records on the page, clamped to the range from 1 to 1,000.
    pub limit: u32,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// Order of submission, newest first.
    #[default]
    NewestFirst,
    /// Order of submission, oldest first.
    OldestFirst,
}

/// A position in a list. The position stays valid when other records change or are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageKey(pub Seq);

/// One page of a list of processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Records of the page.
    pub processes: Vec<StoredProcess>,
    /// Position after which the next page starts; `None` at the end of the list.
    pub next: Option<PageKey>,
    /// Ids of processes that may belong to this page but whose records cannot be read. Other records are not affected.
    pub damaged: Vec<ProcessId>,
}

impl Listing {
    /// Returns the page unchanged if all its records could be read. For callers that must not miss a process.
    ///
    /// # Errors
    /// Returns [`StoreError::Corrupt`] if a record of the page cannot be read.
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
    /// Returns true if a record passes the filter. Adapters that implement the filter in another way must give the same
    /// result.
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
