use super::{RecordDecodeError, name};
use longhaul_domain::{ConfiguredLimits, Policy, QueueHold, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
pub(super) struct PolicyRecord {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    slots: BTreeMap<String, u32>,
    default_slots: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    held: BTreeMap<String, HoldRecord>,
    /// Configured limits. This field must not be named `configured`, because older records use that name for a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    configuration: Option<ConfigurationRecord>,
}

#[derive(Serialize, Deserialize)]
struct ConfigurationRecord {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    slots: BTreeMap<String, u32>,
    default_slots: u32,
}

#[derive(Serialize, Deserialize)]
struct HoldRecord {
    since: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

impl From<&Policy> for PolicyRecord {
    fn from(policy: &Policy) -> Self {
        Self {
            slots: policy.slots.clone(),
            default_slots: policy.default_slots,
            held: policy
                .held
                .iter()
                .map(|(key, hold)| (key.to_string(), HoldRecord { since: hold.since.0, by: hold.by.clone() }))
                .collect(),
            configuration: policy.configured.as_ref().map(|configured| ConfigurationRecord {
                slots: configured.slots.clone(),
                default_slots: configured.default_slots,
            }),
        }
    }
}

impl TryFrom<PolicyRecord> for Policy {
    type Error = RecordDecodeError;

    fn try_from(record: PolicyRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            slots: record.slots,
            default_slots: record.default_slots,
            held: record
                .held
                .into_iter()
                .map(|(key, hold)| Ok((name(&key)?, QueueHold { since: Timestamp(hold.since), by: hold.by })))
                .collect::<Result<_, RecordDecodeError>>()?,
            configured: record
                .configuration
                .map(|record| ConfiguredLimits { slots: record.slots, default_slots: record.default_slots }),
        })
    }
}
