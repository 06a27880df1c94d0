//! Instructions for agents.

/// Instructions that an agent receives when it connects.
pub const INSTRUCTIONS: &str = "longhaul runs commands that outlive this conversation and records how they ended. \
                                start_background_process returns a process_id at once; use wait_seconds for \
                                commands that may be quick. Do not poll: call wait_for_process, and call it again \
                                after a timeout; for more than a minute run `longhaul wait ID` in a background \
                                shell of your own and continue. read_process_output returns head and tail; pass its \
                                next_cursor to get only new output. A failed process is a result, not an error: \
                                read status, exit_code and tail. Register long work that you do yourself with \
                                register_process, report its progress, then complete or fail it.";
