//! Use cases that list and read artifacts.

use crate::api::Api;
use crate::convert::add_artifacts;
use crate::error::ApiError;
use crate::output::is_over;
use crate::peers::{PROMPT, PeerRequest, PeerRequestError, elsewhere};
use longhaul_domain::{AttemptNo, NodeId};
use longhaul_engine::Engine;
use longhaul_engine::ports::{AttemptKey, PeerBody, StoredProcess};
use longhaul_wire::api::{ArtifactsState, ArtifactsView};
use std::fmt::Write as _;

/// Maximum size of a list that another node sends, in bytes.
const MAX_LIST_BYTES: usize = 32 << 20;
/// Number of bytes in one part of an artifact.
const PIECE: u32 = 256 * 1024;

/// The artifact to read, and the offset to start at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactQuery {
    /// Path of the artifact, relative to the working directory.
    pub path: String,
    /// Attempt whose artifact is read; `None` means the latest attempt.
    pub attempt: Option<u32>,
    /// Offset of the first byte to read.
    pub from: u64,
}

/// A reader that returns the content of an artifact part by part.
#[derive(Debug)]
pub struct ArtifactReader {
    source: ArtifactLocation,
    size: Option<u64>,
    /// First part of the content, which is read when the artifact is opened.
    first: Option<Vec<u8>>,
}

#[derive(Debug)]
enum ArtifactLocation {
    Here { engine: Box<Engine>, key: AttemptKey, path: String, next: u64 },
    There { node: NodeId, body: Box<dyn PeerBody> },
}

impl ArtifactReader {
    /// Returns the size of the whole artifact in bytes, if the size is known before the end of the content.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns the next part. Returns `None` at the end of the artifact.
    ///
    /// # Errors
    /// Returns an error if the artifact cannot be read, or if the connection to its node is lost.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Ok(Some(first));
        }
        match &mut self.source {
            ArtifactLocation::Here { engine, key, path, next } => {
                let part = engine.read_artifact(*key, path, *next, PIECE).await?;
                *next = next.saturating_add(part.bytes.len() as u64);
                Ok(Some(part.bytes).filter(|bytes| !bytes.is_empty()))
            }
            ArtifactLocation::There { node, body } => body.next().await.map_err(|error| {
                ApiError::new(503, "node_unreachable", format!("the connection to node {node} was lost"))
                    .because(error.to_string())
                    .help("try again")
            }),
        }
    }
}

impl Api {
    /// Lists the artifacts of an attempt; the default is the latest attempt.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, the process has no such attempt, or the
    /// node that has the artifacts is unreachable.
    pub async fn artifacts(&self, reference: &str, attempt: Option<u32>) -> Result<ArtifactsView, ApiError> {
        let id = self.engine.find(reference).await?;
        let stored = self.engine.process(id).await?;
        let attempt = attempt_of(&stored, attempt)?;
        let mut view = ArtifactsView { id: id.to_string(), attempt: attempt.0, ..ArtifactsView::default() };
        let names_artifacts =
            stored.process.spec.command().is_some_and(|command| !command.artifacts.is_empty());
        if !names_artifacts {
            return Ok(view);
        }
        if let Some(node) = elsewhere(&self.engine, &stored, attempt).await {
            let target = format!("/v1/processes/{id}/artifacts?attempt={attempt}");
            let question = PeerRequest { target, body: None, time_limit: PROMPT };
            let answer = self.peers.fetch::<ArtifactsView>(&self.engine, &node, question, MAX_LIST_BYTES);
            return answer.await.map_err(|error| unreachable(error, &stored));
        }
        let list = self.engine.artifacts(AttemptKey { id, attempt }).await?;
        view.state = match &list {
            Some(_) => ArtifactsState::Copied,
            None if is_over(&stored, attempt) => ArtifactsState::Missing,
            None => ArtifactsState::Pending,
        };
        add_artifacts(&mut view, list.unwrap_or_default());
        Ok(view)
    }

    /// Opens an artifact for reading.
    ///
    /// # Errors
    /// Returns `artifact_not_found` if the attempt has no artifact with this path, and the errors of
    /// [`artifacts`](Self::artifacts).
    pub async fn open_artifact(
        &self,
        reference: &str,
        query: ArtifactQuery,
    ) -> Result<ArtifactReader, ApiError> {
        let id = self.engine.find(reference).await?;
        let stored = self.engine.process(id).await?;
        let attempt = attempt_of(&stored, query.attempt)?;
        if let Some(node) = elsewhere(&self.engine, &stored, attempt).await {
            let mut target = format!("/v1/processes/{id}/artifacts/");
            push_encoded(&mut target, &query.path);
            let _infallible = write!(target, "?attempt={attempt}&from={}", query.from);
            let question = PeerRequest { target, body: None, time_limit: PROMPT };
            let answer = self.peers.ask(&self.engine, &node, question).await;
            let body = answer.map_err(|error| unreachable(error, &stored))?.body;
            let source = ArtifactLocation::There { node, body };
            return Ok(ArtifactReader { source, size: None, first: None });
        }
        let key = AttemptKey { id, attempt };
        let part = self.engine.read_artifact(key, &query.path, query.from, PIECE).await?;
        let next = query.from.saturating_add(part.bytes.len() as u64);
        let source =
            ArtifactLocation::Here { engine: Box::new(self.engine.clone()), key, path: query.path, next };
        Ok(ArtifactReader { source, size: Some(part.size), first: Some(part.bytes) })
    }
}

fn attempt_of(stored: &StoredProcess, asked: Option<u32>) -> Result<AttemptNo, ApiError> {
    let latest = stored.process.attempt;
    match asked.map(AttemptNo) {
        None => Ok(latest),
        Some(asked) if asked <= latest && asked.0 > 0 => Ok(asked),
        Some(_) => Err(ApiError::invalid("attempt", format!("the latest attempt is {latest}"))),
    }
}

fn unreachable(error: PeerRequestError, stored: &StoredProcess) -> ApiError {
    match error {
        PeerRequestError::Refused(fault) => fault,
        PeerRequestError::Away(away) => away.artifacts(stored.process.id),
    }
}

fn push_encoded(target: &mut String, path: &str) {
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~/".contains(&byte) {
            target.push(char::from(byte));
        } else {
            let _infallible = write!(target, "%{byte:02X}");
        }
    }
}
