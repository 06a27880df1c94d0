//! MCP support of the CLI: a proxy between an agent and the manager, and the entry in the agent's configuration.
//!
//! The proxy forwards lines in both directions and does not interpret tools. It interprets only the parts of the MCP
//! protocol that it needs to survive a restart of the manager. After reconnecting, the proxy:
//! - sends the client's `initialize` request again and restores the client's subscriptions,
//! - repeats requests that are safe to repeat,
//! - answers all other lost requests with an error.

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

/// File name of the manager's MCP socket, which lies in the same directory as the manager's main socket.
pub(crate) const SOCKET: &str = "mcp.sock";

/// Text about longhaul for the instructions file that an agent reads at each start.
pub(crate) const INSTRUCTIONS: &str = include_str!("mcp/instructions.md");
