//! Labels of rows: attributes that never change.

use longhaul_domain::{
    AgentId, Level, Process, ProcessId, ProcessName, ProcessType, ProjectName, SessionId, SlotKey,
};
use longhaul_ports::ProcessFilter;

/// Label of a row: an attribute that never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IndexLabel {
    Session(SessionId),
    Project(ProjectName),
    Name(ProcessName),
    Key(SlotKey),
    Agent(AgentId),
    Type(ProcessType),
    /// A descendant of this process at any depth.
    Below(ProcessId),
    /// The level of a process. Roots have no level label, because most processes are roots.
    Level(Level),
}

impl IndexLabel {
    pub(super) fn of(process: &Process) -> impl Iterator<Item = Self> {
        let (spec, lineage) = (&process.spec, &process.lineage);
        let named = [
            spec.session.clone().map(Self::Session),
            spec.project.clone().map(Self::Project),
            spec.name.clone().map(Self::Name),
            spec.key.clone().map(Self::Key),
            spec.agent.agent_id.clone().map(Self::Agent),
            Some(Self::Type(spec.kind.clone())),
            deep(lineage.level()),
        ];
        named.into_iter().flatten().chain(lineage.ancestors.iter().copied().map(Self::Below))
    }

    /// Returns the labels that every row has that the filter selects.
    pub(super) fn of_filter(filter: &ProcessFilter) -> impl Iterator<Item = Self> {
        let named = [
            filter.session.clone().map(Self::Session),
            filter.project.clone().map(Self::Project),
            filter.name.clone().map(Self::Name),
            filter.key.clone().map(Self::Key),
            filter.agent.clone().map(Self::Agent),
            filter.kind.clone().map(Self::Type),
            filter.level.and_then(deep),
            filter.parent.map(Self::Below),
            filter.ancestor.map(Self::Below),
        ];
        named.into_iter().flatten()
    }
}

fn deep(level: Level) -> Option<IndexLabel> {
    (level > Level(0)).then_some(IndexLabel::Level(level))
}
