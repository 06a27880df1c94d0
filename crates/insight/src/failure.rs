//! Search for the first error of a failed command in its output.
//!
//! An [`Analyzer`] reads the output and reports each error as a [`Finding`]: its kind, one line that states the error,
//! and its position in the source and in the output. [`primary`] selects the finding that explains the failure best.
//! For example, the final exception of a trace explains more than `make: *** [all] Error 1`.
//!
//! Errors are found in two ways. Rules are data: [`RuleSet`] reads them from TOML, and users can add their own. Traces
//! (Python, Node.js, Java, Go, Rust) have a structure that a regular expression cannot describe, so a small state
//! machine reads each kind of trace.

mod analyzer;
mod block_text;
mod finding;
mod findings;
mod line_rule;
mod named_port;
mod raw_rule;
mod reader;
mod rule_error;
mod rule_set;
mod stream_lines;
mod trace;

pub use analyzer::Analyzer;
pub use block_text::{MAX_BLOCK_LEN, MAX_BLOCK_LINES};
pub use finding::{Finding, MAX_MESSAGE_LEN, Stream, primary};
pub use findings::MAX_FINDINGS;
pub use named_port::{NamedPort, PORT_IN_USE, named_port};
pub use rule_error::RuleError;
pub use rule_set::{MAX_USER_RULES, RuleSet};
