//! The position of a process in its tree.

use crate::id::{Level, ProcessId};

/// The position of a process in its tree, fixed when the process is submitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Ancestors of the process, from the root down to the parent; empty for a root.
    pub ancestors: Vec<ProcessId>,
    /// Ended process that this process was restarted from.
    pub restarted_from: Option<ProcessId>,
    /// Number of ancestors, counted from the root, that did not launch this process. It is not zero if a caller
    /// attached this process, or one of its ancestors, to a parent from outside that parent's command.
    pub outside: u8,
}

impl Lineage {
    /// Returns the position of a process that `parent` launches. `self` is the position of `parent`.
    #[must_use]
    pub fn child_of(&self, parent: ProcessId) -> Self {
        let mut ancestors = self.ancestors.clone();
        ancestors.push(parent);
        Self { ancestors, restarted_from: None, outside: self.outside }
    }

    /// Returns the same position, marked as that of a process that a caller attached to its parent from outside the
    /// parent's command.
    #[must_use]
    pub fn attached(self) -> Self {
        Self { outside: self.level().0, ..self }
    }

    /// Returns the ancestors that launched this process directly or indirectly, from the root down. longhaul expects
    /// that a restarted ancestor launches this process again.
    #[must_use]
    pub fn launchers(&self) -> &[ProcessId] {
        self.ancestors.get(usize::from(self.outside)..).unwrap_or_default()
    }

    /// Returns the parent; `None` for a root.
    #[must_use]
    pub fn parent(&self) -> Option<ProcessId> {
        self.ancestors.last().copied()
    }

    /// Returns the root of the tree. `me` is the id of this process, which is returned if it is the root itself.
    #[must_use]
    pub fn root(&self, me: ProcessId) -> ProcessId {
        self.ancestors.first().copied().unwrap_or(me)
    }

    /// Returns the level of the process; 0 for a root.
    #[must_use]
    pub fn level(&self) -> Level {
        Level(u8::try_from(self.ancestors.len()).unwrap_or(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_of_an_attached_process_are_launched_by_it_and_by_those_below_it() {
        let [root, attached, child] = [1, 2, 3].map(|id| ProcessId::new(uuid::Uuid::from_u128(id)));
        let top = Lineage::default();
        assert_eq!(top.child_of(root).launchers(), [root]);
        let place = top.child_of(root).attached();
        assert_eq!(place.launchers(), []);
        let below = place.child_of(attached);
        assert_eq!(below.launchers(), [attached]);
        assert_eq!(below.child_of(child).launchers(), [attached, child]);
    }
}
