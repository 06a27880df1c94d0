//! Ends of sessions.

use crate::api::Api;
use crate::convert::{graceless, outcomes, session_policy};
use crate::fault::Fault;
use longhaul_domain::SessionId;
use longhaul_wire::api::{EndSessionRequest, OutcomesReply};

impl Api {
    /// Ends a session: each of its processes does as it was launched to, or as the request says.
    ///
    /// # Errors
    /// The request makes no sense, or the store does not answer.
    pub async fn end_session(
        &self,
        session: &str,
        request: EndSessionRequest,
    ) -> Result<OutcomesReply, Fault> {
        let session: SessionId = session.parse()?;
        let policy = match (request.policy.as_deref(), request.grace_ms) {
            (Some(word), grace) => Some(session_policy(word, grace, self.defaults.session_grace)?),
            (None, Some(_)) => return Err(graceless()),
            (None, None) => None,
        };
        let told = self.engine.end_session(&session, policy).await?;
        Ok(outcomes(&self.engine, told).await)
    }
}
