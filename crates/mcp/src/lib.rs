//! The MCP interface of longhaul: tools for agents.
//!
//! [`McpInterface`] serves streams through [`McpInterface::serve`] and streamable HTTP through
//! [`McpInterface::http_service`]. The first line of a stream is a handshake with facts about the client. Two eras of
//! the protocol are supported: the older one, in which a connection starts with `initialize`, and the stateless one, in
//! which each request contains all facts. [`HttpService`] is the only public item that contains a type of the SDK.
//!
//! Design decisions:
//!
//! - **A failed process is a result, not an error.** A tool returns an error only if the tool itself could not do its
//!   work. Some clients show the text to the model, others show the structured content. Both therefore contain the same
//!   data, and a token budget counts only one of the two copies.
//! - **Waiting is one call.** `wait_for_process` returns when its condition is met, or shortly before clients time out.
//!   If the call is cancelled, the wait ends, but the process continues.
//! - **Connections have no state in the store.** A connection has its caller and its subscriptions. Everything else is
//!   read from the store, so clients lose nothing when the manager restarts. The id of a task contains the wait and a
//!   signature (`task.rs` gives the reason); only cancelled tasks are stored.
//! - **Every result has a size limit.** Long fields of a record are shortened and name the resource with the full
//!   value. Output is read in pages.
//! - **Memory is bounded.** The number of concurrent requests of a connection is limited. If a client does not read its
//!   replies, its next requests are not read either.

mod answer;
mod arguments;
mod caller;
mod calls;
mod error;
mod handshake;
mod instructions;
mod mcp;
mod parameters;
mod resource;
mod schema;
mod serve;
mod server;
mod service;
mod stream;
mod subscriptions;
mod task;
mod tool;
mod truncate;

pub use caller::Caller;
pub use instructions::INSTRUCTIONS;
pub use mcp::McpInterface;
pub use serve::ListenerLimits;
pub use server::Server;
pub use service::{HttpService, McpAuth};
