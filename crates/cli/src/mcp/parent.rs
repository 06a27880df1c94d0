//! The end of whoever started this program.

use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

/// Parks until the parent of this program has ended; for ever if it has none that can be watched.
///
/// The kernel's own way to be told (`PR_SET_PDEATHSIG`) takes the end of the thread that started a program for the end
/// of its parent, and clients start programs from threads that come and go.
pub(crate) async fn parent_gone() {
    match watch() {
        Watch::Watched(parent) => {
            if parent.ready(Interest::READABLE).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        Watch::Gone => {}
        Watch::None => std::future::pending().await,
    }
}

enum Watch {
    Watched(AsyncFd<OwnedFd>),
    Gone,
    None,
}

fn watch() -> Watch {
    let Some(parent) = getppid().filter(|parent| *parent != Pid::INIT) else { return Watch::None };
    let Ok(descriptor) = pidfd_open(parent, PidfdFlags::empty()) else {
        return if getppid() == Some(parent) { Watch::None } else { Watch::Gone };
    };
    // Only while it still is the parent is that number its own.
    if getppid() != Some(parent) {
        return Watch::Gone;
    }
    match AsyncFd::with_interest(descriptor, Interest::READABLE) {
        Ok(watched) => Watch::Watched(watched),
        Err(_) => Watch::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn living_parent_is_not_gone() {
        assert!(tokio::time::timeout(Duration::from_millis(50), parent_gone()).await.is_err());
    }
}
