//! Implements the tool that lists and reads artifacts.

use super::output::ResultBudget;
use crate::answer::{ArtifactFile, ArtifactsResult, JsonObject, SkippedFile, object};
use crate::calls::ToolContext;
use crate::error::ToolError;
use crate::tool::input::ArtifactsInput;
use longhaul_api::ArtifactQuery;
use longhaul_wire::api::ArtifactsView;
use std::str;

/// Number of bytes per token, according to the usual estimate of clients.
const TOKEN: usize = 4;

impl ToolContext<'_> {
    /// Lists the artifacts of a process, or reads a part of one artifact.
    pub(super) async fn read_artifacts(self, asked: ArtifactsInput) -> Result<JsonObject, ToolError> {
        let id = self.find(&asked.process_id).await?;
        match asked.path {
            None => {
                let view = self.api.artifacts(&id, None).await?;
                Ok(listed(view, ResultBudget::of(asked.max_tokens)))
            }
            Some(path) => self.read_artifact(id, path, asked.offset, asked.max_tokens).await,
        }
    }

    async fn read_artifact(
        self,
        id: String,
        path: String,
        from: u64,
        tokens: Option<u32>,
    ) -> Result<JsonObject, ToolError> {
        let mut share = ResultBudget::of(tokens);
        let wanted = usize::try_from(share.granted).unwrap_or(usize::MAX).saturating_mul(TOKEN);
        let mut reader = self.api.open_artifact(&id, ArtifactQuery { path, attempt: None, from }).await?;
        let mut content = Vec::new();
        let mut is_over = false;
        // Read one byte more than requested. The additional byte shows whether the file has more content.
        while content.len() <= wanted && !is_over {
            match reader.next().await? {
                Some(part) => content.extend_from_slice(&part),
                None => is_over = true,
            }
        }
        let mut length = wanted.min(content.len());
        loop {
            let goes_on = length < content.len() || !is_over;
            let answer = page(&id, content.get(..length).unwrap_or_default(), from, goes_on);
            let fits = share.has_room_for(&answer);
            let granted = usize::try_from(share.granted).unwrap_or(usize::MAX).saturating_mul(TOKEN);
            if fits || length == 0 {
                return Ok(answer);
            }
            length = length.min(granted).saturating_sub(1);
        }
    }
}

/// Returns one page of a file. A page of text ends at a character boundary.
fn page(id: &str, bytes: &[u8], from: u64, goes_on: bool) -> JsonObject {
    let text = match str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && goes_on => {
            bytes.get(..error.valid_up_to()).and_then(|valid| str::from_utf8(valid).ok())
        }
        Err(_) => None,
    };
    let text = text.filter(|text| !text.contains('\0'));
    let next = text.map(|text| from.saturating_add(text.len() as u64)).filter(|_| goes_on);
    object(&ArtifactsResult {
        process_id: id.to_owned(),
        binary: text.is_none().then_some(true),
        text: text.map(str::to_owned),
        next_offset: next,
        ..ArtifactsResult::default()
    })
}

/// Returns the list of artifacts. Leaves out entries until the list fits the budget.
fn listed(view: ArtifactsView, budget: ResultBudget) -> JsonObject {
    let files = view.files.into_iter().map(|file| ArtifactFile {
        path: file.path,
        bytes: file.bytes,
        unchanged: file.unchanged.then_some(true),
        changed_while_copied: file.changed_while_copied.then_some(true),
    });
    let skipped = view.skipped.into_iter().map(|file| SkippedFile { path: file.path, why: file.why });
    let mut shown = ArtifactsResult {
        process_id: view.id,
        state: Some(view.state),
        files: files.collect(),
        skipped: skipped.collect(),
        unmatched: view.unmatched,
        problem: view.problem,
        omitted: usize::try_from(view.more_skipped).ok().filter(|more| *more > 0),
        ..ArtifactsResult::default()
    };
    loop {
        let answer = object(&shown);
        let length = serde_json::to_vec(&answer).map_or(0, |json| json.len());
        if length <= budget.bytes || !shorten(&mut shown) {
            return answer;
        }
    }
}

/// Removes about half of the entries of the least useful list that is not empty. Returns false if all lists are empty.
fn shorten(shown: &mut ArtifactsResult) -> bool {
    let removed = if !shown.skipped.is_empty() {
        halve(&mut shown.skipped)
    } else if !shown.unmatched.is_empty() {
        halve(&mut shown.unmatched)
    } else {
        halve(&mut shown.files)
    };
    shown.omitted = shown.omitted.map_or(Some(removed), |omitted| Some(omitted.saturating_add(removed)));
    removed > 0
}

fn halve<T>(entries: &mut Vec<T>) -> usize {
    let kept = entries.len() / 2;
    let removed = entries.len().saturating_sub(kept);
    entries.truncate(kept);
    removed
}
