//! An in-memory environment store.

use super::ids::mix;
use super::locked;
use async_trait::async_trait;
use longhaul_domain::EnvironmentHash;
use longhaul_ports::{EnvironmentStore, EnvironmentStoreError};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

/// An in-memory environment store. Its contents are lost when it is dropped.
#[derive(Default)]
pub struct FakeEnvironmentStore {
    kept: Mutex<BTreeMap<EnvironmentHash, Vec<(String, String)>>>,
}

impl FakeEnvironmentStore {
    /// Deletes all environments, as if the disk of the node had been replaced.
    pub fn forget(&self) {
        locked(&self.kept).clear();
    }

    /// Returns the number of distinct environments.
    #[must_use]
    pub fn len(&self) -> usize {
        locked(&self.kept).len()
    }

    /// Returns true if no environment is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for FakeEnvironmentStore {
    /// Prints only hashes, because values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(locked(&self.kept).keys()).finish()
    }
}

#[async_trait]
impl EnvironmentStore for FakeEnvironmentStore {
    async fn keep(&self, variables: &[(String, String)]) -> Result<EnvironmentHash, EnvironmentStoreError> {
        let mut sorted = variables.to_vec();
        sorted.sort();
        let hash = hash(&sorted);
        locked(&self.kept).insert(hash.clone(), sorted);
        Ok(hash)
    }

    async fn open(&self, hash: &EnvironmentHash) -> Result<Vec<(String, String)>, EnvironmentStoreError> {
        let kept = locked(&self.kept).get(hash).cloned();
        kept.ok_or_else(|| EnvironmentStoreError::Missing { hash: hash.clone() })
    }
}

/// Computes a hash that distinguishes the environments in a test. The hash is not cryptographic.
fn hash(sorted: &[(String, String)]) -> EnvironmentHash {
    let mut sum = 0_u64;
    for (name, value) in sorted {
        for byte in name.bytes().chain([0]).chain(value.bytes()).chain([1]) {
            sum = mix(sum ^ u64::from(byte));
        }
    }
    EnvironmentHash(format!("{sum:016x}{:016x}", mix(sum)))
}
