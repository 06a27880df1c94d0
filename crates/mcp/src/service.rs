//! The MCP interface over streamable HTTP.

use crate::caller::Caller;
use crate::mcp::McpInterface;
use crate::server::Server;
use http::request::Parts;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::fmt;
use std::sync::Arc;

/// Tower service for requests to the MCP endpoint. Clones share the same state.
pub type HttpService = StreamableHttpService<Server, NeverSessionManager>;

/// Clients that are allowed over HTTP, and their permissions.
#[derive(Clone)]
pub struct McpAuth {
    /// Accepted values of the header `Host`. Each value is an exact host name with its port.
    pub hosts: Vec<String>,
    /// Accepted values of the header `Origin`. A request without this header does not come from a web page and is
    /// accepted.
    pub origins: Vec<String>,
    /// Function that returns the caller of a request.
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
    /// Creates a tower service for one endpoint, such as `/mcp`.
    ///
    /// The service stores no sessions: each request is independent, even from clients of the older protocol era. A
    /// restart of the manager therefore interrupts no session, and clients cannot accumulate sessions.
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
