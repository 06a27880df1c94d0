//! Pages and searches of output that lies on another node.

use super::budget::{Budget, length};
use super::kept::Kept;
use super::log::Log;
use super::pages::Pages;
use super::place::{Begin, Place};
use super::scan::Scan;
use super::{Search, manner};
use crate::api::Api;
use crate::fault::Fault;
use crate::peers::{Away, PROMPT, Question, Unanswered};
use longhaul_domain::NodeId;
use longhaul_engine::ports::Stored;
use longhaul_wire::api::{OnlyTail, OutputView, ReadRequest, SearchRequest, SearchView};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// A search takes a second, and may have to wait for its turn.
const SEARCH: Duration = Duration::from_secs(10);
/// The most bytes of what is said of a node that cannot be reached.
const LONGEST_WHY: usize = 200;

impl Api {
    /// A page of output that lies on another node, or of what is kept of it beside the record.
    pub(super) async fn read_there(
        &self,
        node: &NodeId,
        stored: &Stored,
        request: &ReadRequest,
        budget: Budget,
    ) -> Result<OutputView, Fault> {
        let target = target(stored, "text", request);
        let patience = PROMPT.saturating_add(Duration::from_millis(request.wait_ms.unwrap_or(0)));
        let question = Question { target, body: None, patience };
        let most = budget.bytes().saturating_mul(2);
        let away = match self.peers.fetch::<OutputView>(&self.engine, node, question, most).await {
            Ok(view) => return Ok(view),
            Err(Unanswered::Refused(fault)) => return Err(fault),
            Err(Unanswered::Away(away)) => away,
        };
        let place = Place::of_read(stored, request)?;
        let Some((kept, only_tail)) = self.left_of(stored, &place, &away).await? else {
            return Err(away.output(stored.process.id));
        };
        let log = Log { kept: Some(&kept), ..Log::new(&self.engine, stored, &place.cursor) };
        let budget = budget.less(length(&only_tail).saturating_add(16));
        let pages = Pages { log, manner: manner(request.raw), budget };
        let begin = match place.begin {
            Begin::Line(number) => Begin::Cursor(pages.line(place.cursor, number).await?),
            // Its begin is not here.
            Begin::Ends => Begin::LastLines(u32::MAX),
            begin @ (Begin::Cursor(_) | Begin::LastLines(_)) => begin,
        };
        let shown = pages.read(&place, begin).await?;
        Ok(OutputView { only_tail: Some(only_tail), ..shown.view })
    }

    /// A search in output that lies on another node, or in what is kept of it beside the record.
    pub(super) async fn search_there(
        &self,
        node: &NodeId,
        stored: &Stored,
        request: &SearchRequest,
        search: Search,
    ) -> Result<SearchView, Fault> {
        let question = Question { target: target(stored, "search", request), body: None, patience: SEARCH };
        let most = search.budget.bytes().saturating_mul(2);
        let away = match self.peers.fetch::<SearchView>(&self.engine, node, question, most).await {
            Ok(view) => return Ok(view),
            Err(Unanswered::Refused(fault)) => return Err(fault),
            Err(Unanswered::Away(away)) => away,
        };
        let place = Place::of_search(stored, request)?;
        let Some((kept, only_tail)) = self.left_of(stored, &place, &away).await? else {
            return Err(away.output(stored.process.id));
        };
        let log = Log { kept: Some(&kept), ..Log::new(&self.engine, stored, &place.cursor) };
        let Search { pattern, budget, context, most } = search;
        let manner = manner(request.raw);
        let scan = Scan {
            log,
            manner,
            budget,
            most,
            context,
            expired: place.expired,
            only_tail: Some(&only_tail),
            lost_bytes: None,
        };
        scan.run(pattern, place.cursor).await
    }

    /// What is left of the output of an attempt whose node cannot be asked.
    async fn left_of(
        &self,
        stored: &Stored,
        place: &Place,
        away: &Away,
    ) -> Result<Option<(Kept, OnlyTail)>, Fault> {
        let kept = self.kept_beside(stored.process.id, place.cursor.attempt).await?;
        let end = away.why.floor_char_boundary(LONGEST_WHY);
        let why = away.why.get(..end).unwrap_or_default().to_owned();
        Ok(kept.map(|kept| {
            let from_byte = kept.tail.begin();
            (kept, OnlyTail { node: away.node.to_string(), why, from_byte })
        }))
    }
}

/// The path and the query of a request, as a client would send it.
fn target(stored: &Stored, part: &str, request: &impl Serialize) -> String {
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
