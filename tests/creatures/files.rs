//! Test programs that depend on their open files and directories.

use crate::census::{linger, ready};
use crate::system::close;
use std::io::Read;

/// Test program that closes its input and both outputs, and exits with 5 when the test allows it.
pub(crate) fn closes_all(_: &[String]) -> i32 {
    for descriptor in 0..3 {
        close(descriptor);
    }
    ready();
    crate::census::await_word("go");
    5
}

/// Test program that exits with 0 if its only open descriptors are 0, 1 and 2.
pub(crate) fn inherits(_: &[String]) -> i32 {
    let own = std::fs::read_dir("/proc/self/fd").unwrap();
    let given: Vec<String> = own
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            // Ignore the descriptor that is open only to list the other descriptors.
            (!target.starts_with("/proc")).then(|| entry.file_name().into_string().unwrap())
        })
        .collect();
    i32::from(given.len() != 3 || ["0", "1", "2"].iter().any(|each| !given.contains(&(*each).to_owned())))
}

/// Test program that exits with 6 if it has no terminal and its input is empty.
pub(crate) fn wants_terminal(_: &[String]) -> i32 {
    let terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty");
    let mut answer = Vec::new();
    let asked = std::io::stdin().read_to_end(&mut answer);
    if terminal.is_err() && asked.is_ok() && answer.is_empty() { 6 } else { 1 }
}

/// Test program that removes its own working directory.
pub(crate) fn loses_directory(_: &[String]) -> i32 {
    std::fs::remove_dir(std::env::current_dir().unwrap()).unwrap();
    ready();
    linger()
}
