//! Parts that a manager cannot live without.

use std::panic::{self, PanicHookInfo};
use std::thread;

/// The names of the threads whose end would leave a manager that answers and can do nothing.
const VITAL: &[&str] = &["store-writer", "store-reader"];
/// Our crates in which everybody's work is done: a panic there may leave a process that nobody watches, or one that was
/// told to end and is not, in a manager that answers. The others serve one client at a time.
const VITAL_CRATES: &[&str] = &["adapters", "domain", "engine", "ports", "shim"];
/// The exit code of a manager that ended because one of its own parts broke.
const BROKEN: i32 = 70;

/// Ends the process when one of those parts panics: the next command then starts a fresh manager, which finds out what
/// became of everything as after any crash.
pub(crate) fn guard() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        // It writes to standard error, and bears that it cannot.
        tell(panicked);
        if thread::current().name().is_some_and(|name| VITAL.contains(&name)) || is_of_a_vital_crate(panicked)
        {
            std::process::exit(BROKEN);
        }
    }));
}

fn is_of_a_vital_crate(panicked: &PanicHookInfo<'_>) -> bool {
    panicked.location().is_some_and(|place| is_vital(place.file()))
}

/// Whether a source is one of those crates, in this workspace or as it is published.
fn is_vital(file: &str) -> bool {
    VITAL_CRATES.iter().any(|name| {
        file.contains(&format!("crates/{name}/src/")) || file.contains(&format!("/longhaul-{name}-"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn work_of_everybody_is_told_from_that_for_one_client_by_its_source() {
        for vital in
            ["crates/engine/src/turn.rs", "/home/x/.cargo/registry/src/i/longhaul-domain-0.1.0/src/decide.rs"]
        {
            assert!(is_vital(vital), "{vital}");
        }
        for other in ["crates/http/src/body.rs", "crates/app/src/serve.rs", "/x/engine/src/main.rs"] {
            assert!(!is_vital(other), "{other}");
        }
    }

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
                    "panic_guard::tests::panic_of_a_vital_thread_ends_the_process_and_of_another_does_not",
                ])
                .env(THREAD, name)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert_eq!(again.unwrap().code(), Some(code), "{name}");
        }
    }
}
