//! What rows have in common for as long as they are there.

use longhaul_domain::{
    AgentId, Level, Process, ProcessId, ProcessName, ProcessType, ProjectName, SessionId, SlotKey,
};
use longhaul_ports::ProcessFilter;

/// What rows have in common for as long as they are there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IndexLabel {
    Session(SessionId),
    Project(ProjectName),
    Name(ProcessName),
    Key(SlotKey),
    Agent(AgentId),
    Type(ProcessType),
    /// At any depth.
    Below(ProcessId),
    /// Most rows are roots: those have no label of their level.
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

    /// Every row that a filter admits has all of these.
    pub(super) fn asked(filter: &ProcessFilter) -> impl Iterator<Item = Self> {
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
