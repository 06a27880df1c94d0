//! The MCP interface of longhaul: tools for agents.
//!
//! [`McpInterface`] serves streams ([`McpInterface::serve`], whose first line is a handshake with the facts about the
//! client) and streamable HTTP ([`McpInterface::http_service`]). Both eras of the protocol are supported: with
//! `initialize`, and stateless with all facts in each request. [`HttpService`] is the only public item that contains a
//! type of the SDK.
//!
//! Design decisions:
//!
//! - **A failed process is a result, not an error.** A tool returns an error only if the tool itself could not do its
//!   work. Some clients show a model the text, others the structured content, so both contain the same data. A
//!   token budget counts one of the two copies.
//! - **Waiting is one call.** `wait_for_process` returns when its condition is met, or shortly before clients time out.
//!   Cancelling the call ends the wait, never the process.
//! - **Connections have no state in the store.** A connection has its caller and its subscriptions; everything else is
//!   read from the store, so a restart of the manager costs a client nothing. The id of a task contains the wait and a
//!   signature (`task.rs` gives the reason); only cancelled tasks are stored.
//! - **Every result has a size limit.** Long fields of a record are shortened and name the resource with the full
//!   value. Output is read in pages.
//! - **Memory is bounded.** The number of concurrent requests of a connection is limited, and a client that does not
//!   read its replies is not read either.

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
