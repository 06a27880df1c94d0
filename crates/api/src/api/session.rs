//! Use cases of sessions: list them and end them.

use crate::api::Api;
use crate::convert::{graceless, outcomes, rfc3339, session_policy};
use crate::error::ApiError;
use longhaul_domain::{SessionId, Status};
use longhaul_engine::ports::{PageRequest, ProcessFilter, SortOrder, StoredProcess};
use longhaul_wire::api::{EndSessionRequest, OutcomesReply, SessionListing, SessionView};
use std::collections::BTreeMap;

/// Number of newest processes that are searched for sessions without live processes. Also the page size for live
/// processes.
const NEWEST: u32 = 1_000;

impl Api {
    /// Lists the sessions that have live processes, and the sessions of the newest 1,000 processes.
    ///
    /// # Errors
    /// Returns an error if the store does not respond.
    pub async fn sessions(&self) -> Result<SessionListing, ApiError> {
        let engine = &self.engine;
        let is_live = |status: &Status| !status.is_ended();
        let live = ProcessFilter {
            statuses: Status::ALL.into_iter().filter(is_live).collect(),
            ..ProcessFilter::default()
        };
        let mut found = BTreeMap::new();
        let mut page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: NEWEST };
        loop {
            let listing = engine.list(&live, &page).await?;
            listing.processes.iter().for_each(|stored| count(&mut found, stored));
            page.after = listing.next;
            if page.after.is_none() {
                break;
            }
        }
        let newest = engine.list(&ProcessFilter::default(), &page).await?.processes;
        newest
            .iter()
            .filter(|stored| stored.process.status().is_ended())
            .for_each(|stored| count(&mut found, stored));
        let mut sessions: Vec<SessionView> = found.into_values().collect();
        sessions.sort_by(|one, other| other.last_queued_at.cmp(&one.last_queued_at));
        Ok(SessionListing {
            sessions,
            at: rfc3339(engine.now()),
            stale_since: engine.away_since().map(rfc3339),
        })
    }

    /// Ends a session. The policy in the request decides what happens to the processes of the session. Without a policy
    /// in the request, each process follows the session policy that was set at its launch.
    ///
    /// # Errors
    /// Returns an error if the request is invalid, no process belongs to the session, or the store does not respond.
    pub async fn end_session(
        &self,
        session: &str,
        request: EndSessionRequest,
    ) -> Result<OutcomesReply, ApiError> {
        let session: SessionId = session.parse()?;
        let policy = match (request.policy.as_deref(), request.grace_ms) {
            (Some(word), grace) => Some(session_policy(word, grace, self.defaults.session_grace)?),
            (None, Some(_)) => return Err(graceless()),
            (None, None) => None,
        };
        let reported = self.engine.end_session(&session, policy).await?;
        if reported.is_empty() {
            self.check_known(session).await?;
        }
        Ok(outcomes(&self.engine, reported).await)
    }

    /// Returns an error if no live or ended process belongs to the session. In this case the name of the session is
    /// misspelt, or the records of its processes were pruned.
    async fn check_known(&self, session: SessionId) -> Result<(), ApiError> {
        let title = format!("no process belongs to session {:?}", session.as_str());
        let filter = ProcessFilter { session: Some(session), ..ProcessFilter::default() };
        let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 1 };
        let listing = self.engine.list(&filter, &page).await?;
        if !listing.processes.is_empty() || !listing.damaged.is_empty() {
            return Ok(());
        }
        let help = "`longhaul session list` lists the sessions";
        Err(ApiError::new(404, "session_not_found", title).help(help))
    }
}

fn count(sessions: &mut BTreeMap<SessionId, SessionView>, stored: &StoredProcess) {
    let process = &stored.process;
    let Some(id) = &process.spec.session else { return };
    let session = sessions.entry(id.clone()).or_default();
    session.session_id = id.to_string();
    if process.status().is_ended() {
        session.ended += 1;
    } else {
        session.live += 1;
    }
    session.last_queued_at = rfc3339(process.queued_at).max(std::mem::take(&mut session.last_queued_at));
}
