//! The face over streamable HTTP.

use crate::caller::Caller;
use crate::mcp::McpInterface;
use crate::server::Server;
use http::request::Parts;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::fmt;
use std::sync::Arc;

/// A tower service that answers requests to the one endpoint. Clones share it.
pub type HttpService = StreamableHttpService<Server, NeverSessionManager>;

/// Who may come in, and as whom.
#[derive(Clone)]
pub struct McpAuth {
    /// The values of `Host` that are taken, exactly: names with their port.
    pub hosts: Vec<String>,
    /// The values of `Origin` that are taken; a request without one comes from no web page and is taken.
    pub origins: Vec<String>,
    /// Says on whose behalf a request is made.
    pub caller: Arc<dyn Fn(&Parts) -> Caller + Send + Sync>,
}

impl fmt::Debug for McpAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("hosts", &self.hosts)
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}

impl McpInterface {
    /// A tower service for one endpoint, such as `/mcp`.
    ///
    /// It keeps no sessions: each request stands for itself, also for clients of the older era, so that a restart of the
    /// manager breaks nobody's session and nobody can pile up any.
    #[must_use]
    pub fn http_service(&self, door: McpAuth) -> HttpService {
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_allowed_hosts(door.hosts)
            .with_allowed_origins(door.origins)
            .enforce_origin_validation();
        let (shared, caller) = (self.shared.clone(), door.caller);
        StreamableHttpService::new(
            move || Ok(Server::over_http(shared.clone(), caller.clone())),
            Arc::new(NeverSessionManager::default()),
            config,
        )
    }
}
