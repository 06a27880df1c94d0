//! What agents get from the command line: the carrier of their protocol, and its entry in their configuration.
//!
//! The carrier knows lines, not tools: what a client says goes to the manager, what the manager answers goes to the
//! client. It knows just enough of the protocol to outlive the manager: it says again who the client is and what it
//! listens to, puts again what may be put twice, and answers what was lost.

mod call;
mod envelope;
mod eof;
mod install;
mod lines;
mod parent;
mod proxy;
mod session;

pub(crate) use eof::client_gone;
pub(crate) use install::{ConfigPaths, ServerEntry, plan, snippet};
pub(crate) use parent::parent_gone;
pub(crate) use proxy::{ConnectRefusal, Connector, StdioProxy};

/// The name of the manager's socket for agents, beside the one for everybody else.
pub(crate) const SOCKET: &str = "mcp.sock";

/// What belongs into the instructions that an agent reads at each start.
pub(crate) const INSTRUCTIONS: &str = include_str!("mcp/instructions.md");
