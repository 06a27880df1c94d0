//! An in-memory artifact store.

use super::locked;
use async_trait::async_trait;
use longhaul_domain::{Artifact, ArtifactList, ArtifactSkipReason, SkippedArtifact, Timestamp};
use longhaul_ports::{ArtifactChunk, ArtifactError, ArtifactRequest, ArtifactStore, AttemptKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// An in-memory artifact store with an in-memory tree of files that tests write. Clones share the files.
#[derive(Clone, Debug, Default)]
pub struct FakeArtifactStore {
    sources: Arc<Mutex<BTreeMap<String, FakeFile>>>,
    kept: Arc<Mutex<BTreeMap<AttemptKey, FakeArtifacts>>>,
}

/// One entry of the tree.
#[derive(Clone, Debug)]
enum FakeFile {
    Link,
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug, Default)]
struct FakeArtifacts {
    list: ArtifactList,
    content: BTreeMap<String, Vec<u8>>,
}

impl FakeArtifactStore {
    /// Writes a file at an absolute path.
    pub fn write(&self, path: &str, bytes: &[u8]) {
        locked(&self.sources).insert(path.to_owned(), FakeFile::Bytes(bytes.to_vec()));
    }

    /// Creates a symbolic link. Its target is irrelevant, because links are never followed.
    pub fn link(&self, path: &str) {
        locked(&self.sources).insert(path.to_owned(), FakeFile::Link);
    }

    /// Returns the attempts whose artifacts were copied.
    #[must_use]
    pub fn collected(&self) -> Vec<AttemptKey> {
        locked(&self.kept).keys().copied().collect()
    }
}

#[async_trait]
impl ArtifactStore for FakeArtifactStore {
    async fn collect(&self, key: AttemptKey, request: ArtifactRequest) -> Result<(), ArtifactError> {
        let mut kept = locked(&self.kept);
        if kept.contains_key(&key) {
            return Ok(());
        }
        let prefix = format!("{}/", request.directory.trim_end_matches('/'));
        let mut artifacts = FakeArtifacts::default();
        let mut has_matched = vec![false; request.patterns.len()];
        for (path, file) in locked(&self.sources).iter() {
            let Some(path) = path.strip_prefix(&prefix) else { continue };
            let matches: Vec<bool> = request.patterns.iter().map(|pattern| pattern.matches(path)).collect();
            if !matches.contains(&true) {
                continue;
            }
            has_matched.iter_mut().zip(matches).for_each(|(has_matched, now)| *has_matched |= now);
            artifacts.add(path, file, &request);
        }
        let unmatched = request.patterns.iter().zip(has_matched).filter(|(_, has_matched)| !has_matched);
        artifacts.list.unmatched = unmatched.map(|(pattern, _)| pattern.to_string()).collect();
        kept.insert(key, artifacts);
        Ok(())
    }

    async fn list(&self, key: AttemptKey) -> Result<Option<ArtifactList>, ArtifactError> {
        Ok(locked(&self.kept).get(&key).map(|artifacts| artifacts.list.clone()))
    }

    async fn read(
        &self,
        key: AttemptKey,
        path: &str,
        from: u64,
        limit: u32,
    ) -> Result<ArtifactChunk, ArtifactError> {
        let kept = locked(&self.kept);
        let content = kept.get(&key).and_then(|artifacts| artifacts.content.get(path));
        let content = content.ok_or_else(|| ArtifactError::NotListed { key, path: path.to_owned() })?;
        let rest = content.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default();
        let bytes = rest.get(..usize::try_from(limit).unwrap_or(usize::MAX)).unwrap_or(rest).to_vec();
        Ok(ArtifactChunk { bytes, size: content.len() as u64 })
    }
}

impl FakeArtifacts {
    fn add(&mut self, path: &str, file: &FakeFile, request: &ArtifactRequest) {
        let limits = &request.limits;
        let (reason, size) = match file {
            FakeFile::Link => (Some(ArtifactSkipReason::Link), None),
            FakeFile::Bytes(bytes) => {
                let size = bytes.len() as u64;
                let count = u32::try_from(self.list.files.len()).unwrap_or(u32::MAX);
                let reason = if size > limits.file_bytes {
                    Some(ArtifactSkipReason::TooLarge)
                } else if self.list.bytes().saturating_add(size) > limits.total_bytes {
                    Some(ArtifactSkipReason::TotalTooLarge)
                } else if count >= limits.files {
                    Some(ArtifactSkipReason::TooMany)
                } else {
                    None
                };
                (reason, Some(size))
            }
        };
        match (reason, file) {
            (None, FakeFile::Bytes(bytes)) => {
                self.list.files.push(Artifact {
                    path: path.to_owned(),
                    bytes: bytes.len() as u64,
                    modified_at: Timestamp(0),
                    is_unchanged: false,
                    has_changed_during_copy: false,
                });
                self.content.insert(path.to_owned(), bytes.clone());
            }
            (Some(reason), _) => {
                self.list.skipped.push(SkippedArtifact { path: path.to_owned(), reason, bytes: size });
            }
            (None, FakeFile::Link) => {}
        }
    }
}
