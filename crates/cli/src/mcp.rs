//! What agents get from the command line: the carrier of their protocol, and its entry in their configuration.
//!
//! The carrier knows lines, not tools: what a client says goes to the manager, what the manager answers goes to the
//! client. It knows just enough of the protocol to outlive the manager: it says again who the client is and what it
//! listens to, puts again what may be put twice, and answers what was lost.

mod call;
mod carrier;
mod hang_up;
mod head;
mod install;
mod lines;
mod parent;
mod session;

pub(crate) use carrier::{Carrier, Dial, Refused};
pub(crate) use hang_up::client_gone;
pub(crate) use install::{Entry, Homes, plan, snippet};
pub(crate) use parent::parent_gone;

/// The name of the manager's socket for agents, beside the one for everybody else.
pub(crate) const SOCKET: &str = "mcp.sock";

/// What belongs into the instructions that an agent reads at each start.
pub(crate) const INSTRUCTIONS: &str = include_str!("mcp/instructions.md");
