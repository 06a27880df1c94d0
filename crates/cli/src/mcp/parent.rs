//! Detects that the parent of this program has ended.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};
use std::os::fd::OwnedFd;
use tokio::sync::oneshot;

/// Waits until the parent process of this program has ended. Never returns if the parent cannot be observed.
///
/// `PR_SET_PDEATHSIG` is not used, because the kernel sends that signal already when the thread that started this
/// program ends. Clients start programs from short-lived threads.
pub(crate) async fn parent_gone() {
    match parent() {
        ParentProcess::Lives(descriptor) => {
            let (tell, told) = oneshot::channel();
            // The thread blocks until the program ends and uses no CPU time meanwhile.
            let watcher = std::thread::Builder::new().name("parent".to_owned());
            let watched = watcher.spawn(move || {
                if has_ended(&descriptor) {
                    let _gone = tell.send(());
                }
            });
            if watched.is_err() || told.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        ParentProcess::Gone => {}
        ParentProcess::None => std::future::pending().await,
    }
}

enum ParentProcess {
    Lives(OwnedFd),
    Gone,
    /// The parent is the init process, or cannot be observed.
    None,
}

fn parent() -> ParentProcess {
    let Some(parent) = getppid().filter(|parent| *parent != Pid::INIT) else { return ParentProcess::None };
    let opened = pidfd_open(parent, PidfdFlags::empty());
    // The pid may have been reused. It is certain to be the parent's only if the parent is still the same afterwards.
    match (opened, getppid() == Some(parent)) {
        (_, false) => ParentProcess::Gone,
        (Ok(descriptor), true) => ParentProcess::Lives(descriptor),
        (Err(_), true) => ParentProcess::None,
    }
}

/// Blocks until a process has ended. Returns false if that cannot be observed.
fn has_ended(process: &OwnedFd) -> bool {
    loop {
        let mut ends = [PollFd::new(process, PollFlags::IN)];
        match poll(&mut ends, None) {
            Ok(_) => return true,
            Err(error) if error == rustix::io::Errno::INTR => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    #[tokio::test]
    async fn living_parent_is_not_gone() {
        assert!(tokio::time::timeout(Duration::from_millis(50), parent_gone()).await.is_err());
    }

    #[test]
    fn end_of_a_process_is_noticed() {
        let mut child = Command::new("/bin/sh").args(["-c", "read x"]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        drop(child.stdin.take());
        assert!(has_ended(&descriptor));
        child.wait().unwrap();
    }
}
