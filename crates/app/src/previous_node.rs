//! Under which name of a node a state directory was served last.
//!
//! Records name the node that they belong to, and a manager touches those of its own name alone. Under another name it
//! would stop what runs here as work of somebody else, and what waits for the old name would wait for ever.

use crate::binding::{self, UnusableFile, noted};
use crate::compose::ComposeError;
use crate::config::StoreChoice;
use crate::enclosing_shim::ATTEMPTS;
use crate::last_store::living;
use crate::state_dir::StateDir;
use longhaul_domain::{NodeId, Placement, Process, ProcessId, Status, Work};
use longhaul_engine::ports::{Listing, PageRequest, ProcessFilter, SortOrder, Store};
use std::collections::BTreeSet;
use std::path::Path;

/// The name of the node, in the state directory.
const NAME: &str = "last_node";
/// So many processes are looked at at once.
const PAGE: u32 = 500;

/// The name of a state directory, where it is another one than that of now.
#[derive(Debug)]
pub(crate) struct PreviousNodeName {
    name: NodeId,
}

impl PreviousNodeName {
    /// The name that the directory was served under last; none if that is the name of now, or it was never served.
    pub(crate) fn found(state: &StateDir, now: &NodeId) -> Option<Self> {
        named(state.path()).filter(|name| name != now).map(|name| Self { name })
    }

    /// Refuses a new name while something of the old one lives here, or has not ended by the records of the store.
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
        let mut page = PageRequest { order: SortOrder::default(), after: None, most: PAGE };
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

    /// Whether a process is for nobody else to run. What somebody reports about is not run at all.
    fn owns(&self, process: &Process) -> bool {
        let is_placed = process.spec.placement == Placement::Node(self.name.clone());
        matches!(process.spec.work, Work::Command(_))
            && (is_placed || process.node.as_ref() == Some(&self.name))
    }
}

/// The name of a state directory; none if it was never served, or its note is damaged.
pub(crate) fn named(state_dir: &Path) -> Option<NodeId> {
    NodeId::new(&noted(&state_dir.join(NAME))?).ok()
}

/// Notes under which name a state directory is served from here on.
pub(crate) fn note(state: &StateDir, name: &NodeId) -> Result<(), UnusableFile> {
    binding::note(state.path().join(NAME), name.as_str())
}
