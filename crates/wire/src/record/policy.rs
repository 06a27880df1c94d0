use super::{BrokenRecord, names};
use longhaul_domain::Policy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
pub(super) struct PolicyRecord {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    slots: BTreeMap<String, u32>,
    default_slots: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    held: Vec<String>,
}

impl From<&Policy> for PolicyRecord {
    fn from(policy: &Policy) -> Self {
        Self {
            slots: policy.slots.clone(),
            default_slots: policy.default_slots,
            held: policy.held.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<PolicyRecord> for Policy {
    type Error = BrokenRecord;

    fn try_from(record: PolicyRecord) -> Result<Self, BrokenRecord> {
        Ok(Self {
            slots: record.slots,
            default_slots: record.default_slots,
            held: names(&record.held)?.into_iter().collect(),
        })
    }
}
