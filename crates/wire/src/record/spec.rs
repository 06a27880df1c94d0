use super::command::CommandRecord;
use super::ending::json;
use super::monitoring::SilenceRecord;
use super::{DurationRecord, RecordDecodeError, is_zero, name, names, some_name, span, text};
use longhaul_domain::{
    AgentDescriptor, ChildrenPolicy, LaunchSignature, Lineage, Placement, Priority, Process, ProcessId,
    ReportedSpec, RetryPolicy, SessionPolicy, Spec, Timestamp, Work,
};
use serde::{Deserialize, Serialize};

/// The fixed part of a process, which does not change after its submission.
#[derive(Serialize, Deserialize)]
pub(super) struct FixedRecord {
    id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ancestors: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restarted_from: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    outside: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "seal")]
    signature: Option<String>,
    queued_at: i64,
    spec: SpecRecord,
}

/// Fields of a [`FixedRecord`], decoded to domain types.
pub(super) struct FixedFields {
    pub(super) id: ProcessId,
    pub(super) lineage: Lineage,
    pub(super) signature: Option<LaunchSignature>,
    pub(super) queued_at: Timestamp,
    pub(super) spec: Spec,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SpecRecord {
    work: WorkRecord,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    agent: AgentRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    priority: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    launch_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<i64>,
    placement: PlacementRecord,
    retry: RetryRecord,
    #[serde(default, skip_serializing_if = "is_zero")]
    children: ChildrenRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    children_on_failure: Option<ChildrenRecord>,
    #[serde(default, skip_serializing_if = "is_zero")]
    on_session_end: SessionPolicyRecord,
    #[serde(default, skip_serializing_if = "is_zero")]
    silence: SilenceRecord,
}

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChildrenRecord {
    #[default]
    Keep,
    Cancel,
    Wait,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SessionPolicyRecord {
    #[default]
    Keep,
    Cancel,
    Grace(DurationRecord),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WorkRecord {
    Command(Box<CommandRecord>),
    Reported(ReportedRecord),
}

#[derive(Serialize, Deserialize)]
struct ReportedRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    queued: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heartbeat: Option<DurationRecord>,
    grace: DurationRecord,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
struct AgentRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    capabilities: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent_message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PlacementRecord {
    Here,
    Node(String),
    Labels(Vec<String>),
    Anywhere,
}

#[derive(Serialize, Deserialize)]
struct RetryRecord {
    #[serde(default, skip_serializing_if = "is_zero")]
    retries: u32,
    first: DurationRecord,
    cap: DurationRecord,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    codes: Vec<i32>,
    #[serde(default, skip_serializing_if = "is_zero")]
    after_timeout: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    after_interruption: bool,
}

impl From<&Process> for FixedRecord {
    fn from(process: &Process) -> Self {
        Self {
            id: process.id.to_string(),
            ancestors: process.lineage.ancestors.iter().map(ToString::to_string).collect(),
            restarted_from: text(&process.lineage.restarted_from),
            outside: process.lineage.outside,
            signature: process.signature.as_ref().map(|signature| signature.0.clone()),
            queued_at: process.queued_at.0,
            spec: process.spec.as_ref().into(),
        }
    }
}

impl TryFrom<FixedRecord> for FixedFields {
    type Error = RecordDecodeError;

    fn try_from(record: FixedRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            id: name(&record.id)?,
            lineage: Lineage {
                ancestors: names(&record.ancestors)?,
                restarted_from: some_name(&record.restarted_from)?,
                outside: record.outside,
            },
            signature: record.signature.map(LaunchSignature),
            queued_at: Timestamp(record.queued_at),
            spec: record.spec.try_into()?,
        })
    }
}

impl From<&Spec> for SpecRecord {
    fn from(spec: &Spec) -> Self {
        Self {
            work: match &spec.work {
                Work::Command(command) => WorkRecord::Command(Box::new(command.as_ref().into())),
                Work::Reported(reported) => WorkRecord::Reported(reported.into()),
            },
            kind: spec.kind.to_string(),
            name: text(&spec.name),
            project: text(&spec.project),
            session: text(&spec.session),
            description: spec.description.clone(),
            metadata: spec.metadata.as_ref().map(|json| json.as_str().to_owned()),
            agent: (&spec.agent).into(),
            key: text(&spec.key),
            priority: spec.priority.value(),
            launch_key: text(&spec.launch_key),
            not_before: spec.not_before.map(|at| at.0),
            placement: match &spec.placement {
                Placement::Here => PlacementRecord::Here,
                Placement::Node(node) => PlacementRecord::Node(node.to_string()),
                Placement::Labels(labels) => {
                    PlacementRecord::Labels(labels.iter().map(ToString::to_string).collect())
                }
                Placement::Anywhere => PlacementRecord::Anywhere,
            },
            retry: (&spec.retry).into(),
            children: spec.children.into(),
            children_on_failure: spec.children_on_failure.map(Into::into),
            on_session_end: spec.on_session_end.into(),
            silence: spec.silence.into(),
        }
    }
}

impl TryFrom<SpecRecord> for Spec {
    type Error = RecordDecodeError;

    fn try_from(record: SpecRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            work: match record.work {
                WorkRecord::Command(command) => Work::Command(Box::new((*command).try_into()?)),
                WorkRecord::Reported(reported) => Work::Reported(reported.try_into()?),
            },
            kind: name(&record.kind)?,
            name: some_name(&record.name)?,
            project: some_name(&record.project)?,
            session: some_name(&record.session)?,
            description: record.description,
            metadata: record.metadata.map(json).transpose()?,
            agent: record.agent.try_into()?,
            key: some_name(&record.key)?,
            priority: Priority::new(record.priority.into())
                .map_err(|invalid| RecordDecodeError::damaged(invalid.to_string()))?,
            launch_key: some_name(&record.launch_key)?,
            not_before: record.not_before.map(Timestamp),
            placement: match record.placement {
                PlacementRecord::Here => Placement::Here,
                PlacementRecord::Node(node) => Placement::Node(name(&node)?),
                PlacementRecord::Labels(labels) => Placement::Labels(names(&labels)?),
                PlacementRecord::Anywhere => Placement::Anywhere,
            },
            retry: record.retry.try_into()?,
            children: record.children.into(),
            children_on_failure: record.children_on_failure.map(Into::into),
            on_session_end: record.on_session_end.try_into()?,
            silence: record.silence.try_into()?,
        })
    }
}

impl From<ChildrenPolicy> for ChildrenRecord {
    fn from(policy: ChildrenPolicy) -> Self {
        match policy {
            ChildrenPolicy::Keep => Self::Keep,
            ChildrenPolicy::Cancel => Self::Cancel,
            ChildrenPolicy::Wait => Self::Wait,
        }
    }
}

impl From<ChildrenRecord> for ChildrenPolicy {
    fn from(record: ChildrenRecord) -> Self {
        match record {
            ChildrenRecord::Keep => Self::Keep,
            ChildrenRecord::Cancel => Self::Cancel,
            ChildrenRecord::Wait => Self::Wait,
        }
    }
}

impl From<SessionPolicy> for SessionPolicyRecord {
    fn from(policy: SessionPolicy) -> Self {
        match policy {
            SessionPolicy::Keep => Self::Keep,
            SessionPolicy::Cancel => Self::Cancel,
            SessionPolicy::Grace(grace) => Self::Grace(grace.into()),
        }
    }
}

impl TryFrom<SessionPolicyRecord> for SessionPolicy {
    type Error = RecordDecodeError;

    fn try_from(record: SessionPolicyRecord) -> Result<Self, RecordDecodeError> {
        Ok(match record {
            SessionPolicyRecord::Keep => Self::Keep,
            SessionPolicyRecord::Cancel => Self::Cancel,
            SessionPolicyRecord::Grace(grace) => Self::Grace(grace.try_into()?),
        })
    }
}

impl From<&ReportedSpec> for ReportedRecord {
    fn from(reported: &ReportedSpec) -> Self {
        Self {
            node: text(&reported.node),
            queued: reported.queued,
            heartbeat: reported.heartbeat.map(Into::into),
            grace: reported.grace.into(),
        }
    }
}

impl TryFrom<ReportedRecord> for ReportedSpec {
    type Error = RecordDecodeError;

    fn try_from(record: ReportedRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            node: some_name(&record.node)?,
            queued: record.queued,
            heartbeat: span(record.heartbeat)?,
            grace: record.grace.try_into()?,
        })
    }
}

impl From<&AgentDescriptor> for AgentRecord {
    fn from(agent: &AgentDescriptor) -> Self {
        Self {
            id: text(&agent.agent_id),
            kind: text(&agent.agent_type),
            capabilities: agent.capabilities.iter().map(ToString::to_string).collect(),
            parent_message_id: agent.parent_message_id.clone(),
            prompt: agent.prompt.clone(),
            agent: agent.agent.clone(),
            model: agent.model.clone(),
        }
    }
}

impl TryFrom<AgentRecord> for AgentDescriptor {
    type Error = RecordDecodeError;

    fn try_from(record: AgentRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            agent_id: some_name(&record.id)?,
            agent_type: some_name(&record.kind)?,
            capabilities: names(&record.capabilities)?,
            parent_message_id: record.parent_message_id,
            prompt: record.prompt,
            agent: record.agent,
            model: record.model,
        })
    }
}

impl From<&RetryPolicy> for RetryRecord {
    fn from(retry: &RetryPolicy) -> Self {
        Self {
            retries: retry.retries,
            first: retry.first.into(),
            cap: retry.cap.into(),
            codes: retry.codes.clone(),
            after_timeout: retry.after_timeout,
            after_interruption: retry.after_interruption,
        }
    }
}

impl TryFrom<RetryRecord> for RetryPolicy {
    type Error = RecordDecodeError;

    fn try_from(record: RetryRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            retries: record.retries,
            first: record.first.try_into()?,
            cap: record.cap.try_into()?,
            codes: record.codes,
            after_timeout: record.after_timeout,
            after_interruption: record.after_interruption,
        })
    }
}
