//! Pages and searches of output that another node stores.

use super::available::AvailableOutput;
use super::budget::{Budget, length};
use super::log::AttemptLog;
use super::pages::PageReader;
use super::place::{ReadPosition, ReadStart};
use super::scan::LogScan;
use super::{SearchQuery, manner};
use crate::api::Api;
use crate::error::ApiError;
use crate::peers::{PROMPT, PeerRequest, PeerRequestError, Unreachable};
use longhaul_domain::NodeId;
use longhaul_engine::ports::StoredProcess;
use longhaul_wire::api::{OutputView, ReadRequest, SearchRequest, SearchView, TailOnlyReason};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// Timeout of a search on another node. A search takes up to a second, and it may first have to wait for other
/// searches.
const SEARCH: Duration = Duration::from_secs(10);
/// Maximum length in bytes of the text that explains why a node is unreachable.
const MAX_REASON_LEN: usize = 200;

impl Api {
    /// Returns a page of output from another node. If the node is unreachable, the page shows the stored output tail.
    pub(super) async fn read_there(
        &self,
        node: &NodeId,
        stored: &StoredProcess,
        request: &ReadRequest,
        budget: Budget,
    ) -> Result<OutputView, ApiError> {
        let target = target(stored, "text", request);
        let time_limit = PROMPT.saturating_add(Duration::from_millis(request.wait_ms.unwrap_or(0)));
        let question = PeerRequest { target, body: None, time_limit };
        let limit = budget.bytes().saturating_mul(2);
        let away = match self.peers.fetch::<OutputView>(&self.engine, node, question, limit).await {
            Ok(view) => return Ok(view),
            Err(PeerRequestError::Refused(fault)) => return Err(fault),
            Err(PeerRequestError::Away(away)) => away,
        };
        let place = ReadPosition::of_read(stored, request)?;
        let Some((kept, tail_only)) = self.tail_of(stored, &place, &away).await? else {
            return Err(away.output(stored.process.id));
        };
        let log = AttemptLog { kept: Some(&kept), ..AttemptLog::new(&self.engine, stored, &place.cursor) };
        let budget = budget.less(length(&tail_only).saturating_add(16));
        let pages = PageReader { log, manner: manner(request.raw), budget };
        let begin = match place.begin {
            ReadStart::Line(number) => ReadStart::Cursor(pages.line(place.cursor, number).await?),
            // The stored output tail does not contain the head of the output.
            ReadStart::Ends => ReadStart::LastLines(u32::MAX),
            begin @ (ReadStart::Cursor(_) | ReadStart::LastLines(_)) => begin,
        };
        let shown = pages.read(&place, begin).await?;
        Ok(OutputView { tail_only: Some(tail_only), ..shown.view })
    }

    /// Searches output that another node stores. If the node is unreachable, only the stored output tail is searched.
    pub(super) async fn search_there(
        &self,
        node: &NodeId,
        stored: &StoredProcess,
        request: &SearchRequest,
        search: SearchQuery,
    ) -> Result<SearchView, ApiError> {
        let question =
            PeerRequest { target: target(stored, "search", request), body: None, time_limit: SEARCH };
        let limit = search.budget.bytes().saturating_mul(2);
        let away = match self.peers.fetch::<SearchView>(&self.engine, node, question, limit).await {
            Ok(view) => return Ok(view),
            Err(PeerRequestError::Refused(fault)) => return Err(fault),
            Err(PeerRequestError::Away(away)) => away,
        };
        let place = ReadPosition::of_search(stored, request)?;
        let Some((kept, tail_only)) = self.tail_of(stored, &place, &away).await? else {
            return Err(away.output(stored.process.id));
        };
        let log = AttemptLog { kept: Some(&kept), ..AttemptLog::new(&self.engine, stored, &place.cursor) };
        let SearchQuery { pattern, budget, context, limit } = search;
        let manner = manner(request.raw);
        let scan = LogScan {
            log,
            manner,
            budget,
            limit,
            context,
            expired: place.expired,
            tail_only: Some(&tail_only),
            lost_bytes: None,
        };
        scan.run(pattern, place.cursor).await
    }

    /// Returns the stored output tail of an attempt whose node is unreachable. Also returns the reason, which the reply
    /// contains.
    async fn tail_of(
        &self,
        stored: &StoredProcess,
        place: &ReadPosition,
        away: &Unreachable,
    ) -> Result<Option<(AvailableOutput, TailOnlyReason)>, ApiError> {
        let kept = self.tail_if_unreachable(stored.process.id, place.cursor.attempt).await?;
        let end = away.why.floor_char_boundary(MAX_REASON_LEN);
        let why = away.why.get(..end).unwrap_or_default().to_owned();
        Ok(kept.map(|kept| {
            let from_byte = kept.tail.begin();
            (kept, TailOnlyReason { node: away.node.to_string(), why, from_byte })
        }))
    }
}

/// Builds the path and query of a request to another node. Clients use the same form.
pub(crate) fn target(stored: &StoredProcess, part: &str, request: &impl Serialize) -> String {
    let mut target = format!("/v1/processes/{}/{part}", stored.process.id);
    let Ok(Value::Object(fields)) = serde_json::to_value(request) else { return target };
    let mut separator = '?';
    for (name, value) in fields {
        let text = match value {
            Value::Null | Value::Bool(false) | Value::Array(_) | Value::Object(_) => continue,
            Value::Bool(true) => "true".to_owned(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => text,
        };
        target.push(separator);
        target.push_str(&name);
        target.push('=');
        push_encoded(&mut target, &text);
        separator = '&';
    }
    target
}

fn push_encoded(target: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            target.push(char::from(byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
}
