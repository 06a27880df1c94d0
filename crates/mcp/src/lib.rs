//! The MCP face of longhaul: tools for agents.
//!
//! [`McpInterface`] answers over streams ([`McpInterface::serve`], behind an opening line that says on whose behalf) and as a service for
//! streamable HTTP ([`McpInterface::http_service`]), in both eras of the protocol: with `initialize`, and stateless with what
//! each request says of itself. No type of the SDK leaves this crate but that service.
//!
//! What is decided here:
//!
//! - **A process that failed is an answer.** An error of a tool means that the tool could not do its job. Clients show a
//!   model either the text or the structured content, so both say the same; but what has a budget of tokens is in a
//!   result once, as structured content where that is known.
//! - **Waiting is one call.** `wait_for_process` parks until something is true and returns before clients give up on a
//!   call; ending the call ends the wait and never the process.
//! - **Nothing here is kept.** A connection holds its caller and its subscriptions; everything else is a question to the
//!   store, so that a restart of the manager costs a client nothing. Tasks are no rows either: the id of a task says
//!   what it waits for, signed (`task.rs` says why); only that one was cancelled is written down.
//! - **Every answer has a budget.** Long fields of a record are cut and name the resource that has them whole; output is
//!   read in pages.
//! - **Nobody makes it hold more than it can.** Of one connection so many requests are at work at once, and who takes no
//!   answers is not read any further.

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
