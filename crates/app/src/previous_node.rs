//! Records under which node name a state directory was served last.
//!
//! Each record contains the name of the node that owns it, and a manager changes only records with its own node name.
//! Under another name, the manager would stop the running work of this state directory as foreign, and processes that
//! wait for the old name would wait forever.

use crate::binding::{self, UnusableFile, noted};
use crate::compose::ComposeError;
use crate::config::StoreChoice;
use crate::enclosing_shim::ATTEMPTS;
use crate::last_store::living;
use longhaul_client::StateDir;
use longhaul_domain::{NodeId, Placement, Process, ProcessId, Status, Work};
use longhaul_engine::ports::{Listing, PageRequest, ProcessFilter, SortOrder, Store};
use std::collections::BTreeSet;
use std::path::Path;

/// Name of the file that contains the last node name, inside the state directory.
const NAME: &str = "last_node";
/// Number of processes in one page of a listing.
const PAGE: u32 = 500;

/// The last node name of a state directory, if it differs from the current one.
#[derive(Debug)]
pub(crate) struct PreviousNodeName {
    name: NodeId,
}

impl PreviousNodeName {
    /// Returns the node name under which the directory was served last. Returns `None` if that name equals `now`, or if
    /// the directory was never served.
    pub(crate) fn found(state: &StateDir, now: &NodeId) -> Option<Self> {
        named(state.path()).filter(|name| name != now).map(|name| Self { name })
    }

    /// Refuses the new node name in two cases: an attempt that started under the old name is running here, or the store
    /// has an unfinished process of the old name.
    pub(crate) async fn check(
        &self,
        state: &StateDir,
        choice: &StoreChoice,
        store: &dyn Store,
        now: &NodeId,
    ) -> Result<(), ComposeError> {
        let failed = |source| ComposeError::Store { store: choice.to_string(), source };
        let live = living(&state.path().join(ATTEMPTS));
        let statuses = Status::ALL.into_iter().filter(|status| !status.is_ended()).collect();
        let filter = ProcessFilter { statuses, ..ProcessFilter::default() };
        let mut page = PageRequest { order: SortOrder::default(), after: None, limit: PAGE };
        let mut all: BTreeSet<ProcessId> = live.clone();
        loop {
            let listing = store.list(&filter, &page).await.and_then(Listing::whole).map_err(failed)?;
            let own = listing.processes.iter().map(|stored| &stored.process).filter(|one| self.owns(one));
            all.extend(own.map(|process| process.id));
            page.after = listing.next;
            if page.after.is_none() {
                break;
            }
        }
        let Some(first) = all.first().copied() else { return Ok(()) };
        Err(ComposeError::OtherNode {
            node: now.clone(),
            last: self.name.clone(),
            first,
            live: live.len(),
            open: all.len(),
        })
    }

    /// Returns true if only a node with the old name can run the process. Returns false for reported work, because no
    /// node runs it.
    fn owns(&self, process: &Process) -> bool {
        let is_placed = process.spec.placement == Placement::Node(self.name.clone());
        matches!(process.spec.work, Work::Command(_))
            && (is_placed || process.node.as_ref() == Some(&self.name))
    }
}

/// Returns the last node name of a state directory. Returns `None` if the directory was never served or the file is
/// damaged.
pub(crate) fn named(state_dir: &Path) -> Option<NodeId> {
    NodeId::new(&noted(&state_dir.join(NAME))?).ok()
}

/// Records the node name under which a state directory is served from now on.
pub(crate) fn note(state: &StateDir, name: &NodeId) -> Result<(), UnusableFile> {
    binding::note(state.path().join(NAME), name.as_str())
}
