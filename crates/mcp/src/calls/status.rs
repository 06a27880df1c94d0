//! The tool that returns the status of a process.

use crate::answer::{Children, JsonObject, StatusContext, brief, is_terminal, whole};
use crate::calls::ToolContext;
use crate::error::ToolError;
use crate::tool::input::ProcessInput;
use longhaul_api::{Api, DetailLevel};
use longhaul_engine::ports::{PageRequest, ProcessFilter, SortOrder};
use longhaul_wire::api::{ProcessView, ReadRequest};

/// Maximum number of lines in an output tail.
const TAIL_LINES: u32 = 5;
/// Maximum number of characters in an output tail.
const TAIL_LETTERS: usize = 400;
/// Maximum number of bytes in an output tail.
const TAIL_BYTES: usize = 600;
/// Maximum size of the page from which an output tail is taken, in tokens.
const TAIL_TOKENS: u32 = 400;
/// Maximum number of children that are counted.
const MAX_CHILDREN: u32 = 100;

impl ToolContext<'_> {
    /// Returns the whole record of a process.
    pub(super) async fn status(self, asked: ProcessInput) -> Result<JsonObject, ToolError> {
        let view = self.api.show(&self.find(&asked.process_id).await?, DetailLevel::Usage).await?;
        let mut around = around(self.api, &view).await;
        if around.tail.is_none() && is_terminal(&view.status) {
            add_tail(self.api, &view, &mut around).await;
        }
        around.children = children(self.api, &view).await;
        Ok(whole(&view, &around))
    }

    /// Returns the short form of a process.
    pub(super) async fn brief(self, view: &ProcessView) -> JsonObject {
        brief(view, &around(self.api, view).await)
    }
}

/// Collects facts about a process that are not in its record. Facts that cannot be determined now are left out, because
/// the record itself is more important.
pub(crate) async fn around(api: &Api, view: &ProcessView) -> StatusContext {
    let is_pending = view.status == "pending";
    let went_wrong = matches!(view.status.as_str(), "failed" | "timeout" | "interrupted");
    // The output tail usually shows the question that the command asks.
    let asks = view.conditions.iter().any(|condition| condition == "waiting_for_input");
    let mut around = StatusContext::default();
    if is_pending {
        around.why = api.why(&view.id).await.ok();
    }
    if went_wrong || asks {
        add_tail(api, view, &mut around).await;
    }
    around
}

/// Adds the last lines of the output, and the cursor behind them.
async fn add_tail(api: &Api, view: &ProcessView, around: &mut StatusContext) {
    if view.output_bytes.is_none_or(|bytes| bytes == 0) {
        return;
    }
    let request =
        ReadRequest { tail_lines: Some(TAIL_LINES), max_tokens: Some(TAIL_TOKENS), ..ReadRequest::default() };
    if let Ok(read) = api.read_output(&view.id, &request).await {
        around.tail = Some(last_letters(&read.text)).filter(|tail| !tail.is_empty());
        around.next_cursor = Some(read.next_cursor);
    }
}

/// Counts the children of a process. Returns `None` if the process has no children.
async fn children(api: &Api, view: &ProcessView) -> Option<Children> {
    let filter = ProcessFilter { parent: Some(view.id.parse().ok()?), ..ProcessFilter::default() };
    let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: MAX_CHILDREN };
    let found = api.engine.list(&filter, &page).await.ok()?;
    let total = found.processes.len();
    let live = found.processes.iter().filter(|stored| !stored.process.status().is_ended()).count();
    (total > 0).then_some(Children { total, live, more: found.next.is_some() })
}

/// Returns the end of a text, limited in characters and in bytes.
fn last_letters(text: &str) -> String {
    let text = text.trim_end();
    let count = text.chars().count();
    let tail: String = text.chars().skip(count.saturating_sub(TAIL_LETTERS)).collect();
    // A text with multi-byte characters can exceed the byte limit even if it is within the character limit.
    let over = tail.len().saturating_sub(TAIL_BYTES);
    let from = (over..=tail.len()).find(|place| tail.is_char_boundary(*place)).unwrap_or_default();
    tail.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_is_cut_between_characters() {
        assert_eq!(last_letters("one\ntwo\n"), "one\ntwo");
        assert_eq!(last_letters(&"a".repeat(500)), "a".repeat(400));
        assert_eq!(last_letters(&"ä".repeat(500)), "ä".repeat(300));
        assert_eq!(last_letters(&"€".repeat(500)), "€".repeat(200));
    }
}
