//! Threads that a manager cannot live without.

use std::panic;
use std::thread;

/// The names of the threads whose end would leave a manager that answers and can do nothing.
const VITAL: &[&str] = &["store-writer", "store-reader"];
/// The exit code of a manager that ended because one of its own parts broke.
const BROKEN: i32 = 70;

/// Ends the process when one of those threads panics: the next command then starts a fresh manager.
pub(crate) fn guard() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        // It writes to standard error, and bears that it cannot.
        tell(panicked);
        if thread::current().name().is_some_and(|name| VITAL.contains(&name)) {
            std::process::exit(BROKEN);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    const THREAD: &str = "TEST_OF_A_PANICKING_THREAD";

    #[test]
    fn panic_of_a_vital_thread_ends_the_process_and_of_another_does_not() {
        if let Ok(name) = std::env::var(THREAD) {
            guard();
            let thread = thread::Builder::new().name(name).spawn(|| panic!("it is broken"));
            assert!(thread.unwrap().join().is_err());
            return;
        }
        for (name, code) in [("store-writer", BROKEN), ("store-reader", BROKEN), ("guest", 0)] {
            let again = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "vital::tests::panic_of_a_vital_thread_ends_the_process_and_of_another_does_not",
                ])
                .env(THREAD, name)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert_eq!(again.unwrap().code(), Some(code), "{name}");
        }
    }
}
