//! The bounded list of findings.

use super::finding::{Finding, Stream, primary};

/// Maximum number of findings.
pub const MAX_FINDINGS: usize = 20;

/// The first findings in an output. The best finding is included even if it comes later.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    /// Adds a finding. If the list is full, the new finding replaces the last one, but only if it explains the failure
    /// better than all findings in the list.
    pub(super) fn add(&mut self, finding: Finding) {
        self.list.push(finding);
        if self.list.len() > MAX_FINDINGS {
            let is_best = primary(&self.list).map(|best| best.offset)
                == self.list.last().map(|last| last.offset)
                && primary(&self.list).map(|best| best.stream) == self.list.last().map(|last| last.stream);
            let surplus = if is_best { MAX_FINDINGS - 1 } else { MAX_FINDINGS };
            self.list.remove(surplus);
        }
    }

    /// Returns true if a finding with this weight can be stored: the list is not full, or the weight is greater than
    /// that of the best finding.
    pub(super) fn has_room_for(&self, weight: u8) -> bool {
        self.list.len() < MAX_FINDINGS || primary(&self.list).is_none_or(|best| weight > best.weight)
    }

    /// Removes the findings of a stream at and after this offset, because they belong to one trace.
    pub(super) fn remove_from(&mut self, stream: Stream, offset: u64) {
        self.list.retain(|finding| finding.stream != stream || finding.offset < offset);
    }

    /// Returns the findings, sorted by their offsets in the output.
    pub(super) fn into_sorted(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|finding| finding.offset);
        self.list
    }
}
