//! Instructions for agents.

/// Instructions that an agent receives when it connects.
pub const INSTRUCTIONS: &str = "\
longhaul runs commands that outlive this conversation and remembers how they ended. \
start_background_process returns a process_id at once; give wait_seconds for what may be quick. \
Do not poll: call wait_for_process, and again after a timeout; for more than a minute run \
`longhaul wait ID` in a background shell of your own and go on. \
read_process_output shows head and tail; hand its next_cursor back to see only what is new. \
A process that failed is an answer, not an error: look at status, exit_code and tail. \
Register long work that you do yourself with register_process, report its progress, then complete or fail it.";
