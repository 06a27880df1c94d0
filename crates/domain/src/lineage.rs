//! Where a process stands in its tree.

use crate::id::{Level, ProcessId};

/// The place of a process in its tree, fixed at the submit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// From the root down to the parent; empty for a root.
    pub ancestors: Vec<ProcessId>,
    /// The ended process that this one runs again.
    pub restarted_from: Option<ProcessId>,
    /// How many ancestors, from the root, are not counted as launching it: somebody attached it from outside, or attached
    /// an ancestor of it.
    pub outside: u8,
}

impl Lineage {
    /// The place of a child of `parent`, whose own place is `self`, if `parent` itself launches it.
    #[must_use]
    pub fn child_of(&self, parent: ProcessId) -> Self {
        let mut ancestors = self.ancestors.clone();
        ancestors.push(parent);
        Self { ancestors, restarted_from: None, outside: self.outside }
    }

    /// The same place of a process that somebody attached to its parent from outside.
    #[must_use]
    pub fn attached(self) -> Self {
        Self { outside: self.level().0, ..self }
    }

    /// The ancestors that count as launching this process, from the root down. One that is restarted is expected to launch
    /// it again.
    #[must_use]
    pub fn launchers(&self) -> &[ProcessId] {
        self.ancestors.get(usize::from(self.outside)..).unwrap_or_default()
    }

    /// The process that this one belongs to.
    #[must_use]
    pub fn parent(&self) -> Option<ProcessId> {
        self.ancestors.last().copied()
    }

    /// The top of the tree; `me` for a root.
    #[must_use]
    pub fn root(&self, me: ProcessId) -> ProcessId {
        self.ancestors.first().copied().unwrap_or(me)
    }

    /// The depth: 0 for a root.
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
