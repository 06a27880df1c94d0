//! Ends a manager when one of its essential parts panics.

use std::panic::{self, PanicHookInfo};
use std::thread;

/// Names of essential threads. If one of these threads ended, a manager would still respond but could not execute any
/// request.
const VITAL: &[&str] = &["store-writer", "store-reader"];
/// Names of essential crates, whose code works for all clients. After a panic in one of them, the manager would still
/// respond, but a process could remain unsupervised or could not be stopped. In all other crates, a panic affects one
/// client only.
const VITAL_CRATES: &[&str] = &["adapters", "domain", "engine", "ports", "shim"];
/// Exit code of a manager after a panic in an essential part.
const BROKEN: i32 = 70;

/// Installs a panic hook that exits the program after a panic in an essential part. The next client command then starts
/// a new manager, which recovers as after a crash.
pub(crate) fn guard() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        // The default hook writes to stderr and ignores write errors.
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

/// Returns true if the path of a source file belongs to an essential crate, in this workspace or in a published
/// package.
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
    fn essential_tasks_are_distinguished_from_client_tasks_by_their_source() {
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
