//! Values that were decoded before.

use super::values::{self, NodeRow};
use longhaul_domain::{NodeId, Policy, PolicyVersion};
use longhaul_ports::StoreError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Values that were decoded before, with their texts. A value is decoded again only if its text has changed.
#[derive(Debug, Default)]
pub(crate) struct DecodedValues {
    policy: Mutex<(String, Arc<(PolicyVersion, Policy)>)>,
    nodes: Mutex<BTreeMap<NodeId, (String, NodeRow)>>,
}

impl DecodedValues {
    pub(crate) fn policy(&self, text: Option<&str>) -> Result<Arc<(PolicyVersion, Policy)>, StoreError> {
        let text = text.unwrap_or_default();
        let mut known = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != text {
            let policy = values::decode_policy(Some(text).filter(|text| !text.is_empty()))?;
            *known = (text.to_owned(), Arc::new(policy));
        }
        Ok(Arc::clone(&known.1))
    }

    pub(crate) fn node(&self, id: &NodeId, text: &str) -> Result<NodeRow, StoreError> {
        let mut known = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, node)) = known.get(id).filter(|(known, _)| known == text) {
            return Ok(node.clone());
        }
        let node = NodeRow::decode(text)?;
        known.insert(id.clone(), (text.to_owned(), node.clone()));
        Ok(node)
    }
}
