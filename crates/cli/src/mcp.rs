//! MCP support of the command line: a proxy between an agent and the manager, and the agent's configuration entry.
//!
//! The proxy forwards lines in both directions and knows no tools. It knows just enough of the protocol to survive a
//! restart of the manager. After reconnecting, the proxy:
//! - introduces the client again and restores its subscriptions,
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

/// File name of the manager's socket for MCP. The socket lies in the directory of the manager's main socket.
pub(crate) const SOCKET: &str = "mcp.sock";

/// Text for the instructions that an agent reads at each start.
pub(crate) const INSTRUCTIONS: &str = include_str!("mcp/instructions.md");
