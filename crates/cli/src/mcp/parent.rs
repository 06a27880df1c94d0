//! Detects that the parent process of this program has ended.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};
use std::os::fd::OwnedFd;
use tokio::sync::oneshot;

/// Waits until the parent process of this program has ended. Never returns if the parent cannot be observed.
///
/// `PR_SET_PDEATHSIG` is not used, because the kernel sends its signal as soon as the thread that started this program
/// ends. MCP clients start programs from short-lived threads.
pub(crate) async fn parent_gone() {
    match parent() {
        ParentProcess::Lives(descriptor) => {
            let (tell, reported) = oneshot::channel();
            // This thread may block until the program ends. It uses no CPU time while it is blocked.
            let watcher = std::thread::Builder::new().name("parent".to_owned());
            let watched = watcher.spawn(move || {
                if has_ended(&descriptor) {
                    let _gone = tell.send(());
                }
            });
            if watched.is_err() || reported.await.is_err() {
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
    /// The parent is the init process, or it cannot be observed.
    None,
}

fn parent() -> ParentProcess {
    let Some(parent) = getppid().filter(|parent| *parent != Pid::INIT) else { return ParentProcess::None };
    let opened = pidfd_open(parent, PidfdFlags::empty());
    // If the parent ended before `pidfd_open`, another process may have got its pid. The descriptor certainly refers to
    // the parent only if the parent is still the same afterwards.
    match (opened, getppid() == Some(parent)) {
        (_, false) => ParentProcess::Gone,
        (Ok(descriptor), true) => ParentProcess::Lives(descriptor),
        (Err(_), true) => ParentProcess::None,
    }
}

/// Blocks until a process has ended. Returns false if its end cannot be observed.
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
    async fn running_parent_is_not_reported_as_ended() {
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
