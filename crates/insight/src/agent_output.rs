//! Reads facts from the output of an agent: its last message, the tokens that it used, and its current step.
//!
//! Each agent has its own format. The formats are JSON lines, except [`AgentFormat::Plain`]. A line that is not JSON, or
//! that has an unknown structure, is ignored and counted.

mod claude;
mod codex;
mod facts;
mod fields;
mod gemini;
mod opencode;
mod reader;

pub use facts::{AgentFacts, AgentTokens};
pub use reader::{AgentFormat, AgentOutputReader, MAX_MESSAGE_LEN};
