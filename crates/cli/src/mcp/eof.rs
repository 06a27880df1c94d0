//! Detects that the client has closed standard input, even while this program is not reading standard input.

use rustix::event::{PollFd, PollFlags, poll};
use std::io::stdin;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// Time limit for forwarding the client's last messages.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits until the client has closed standard input, and then for another [`DRAIN_TIMEOUT`]. Never returns if the
/// closing cannot be observed.
///
/// Reading alone detects the end of standard input only after all earlier messages, and the proxy does not read while
/// the client accepts no responses. This function detects the end in that case too.
pub(crate) async fn client_gone() {
    let (tell, reported) = oneshot::channel();
    // This thread may block until the program ends. It uses no CPU time while it is blocked.
    let watcher = std::thread::Builder::new().name("client".to_owned());
    let watched = watcher.spawn(move || {
        if is_hung_up(&stdin()) {
            let _gone = tell.send(());
        }
    });
    if watched.is_err() || reported.await.is_err() {
        std::future::pending::<()>().await;
    }
    sleep(DRAIN_TIMEOUT).await;
}

/// Blocks until the other end of a pipe or socket is closed. Returns false if that cannot be observed.
fn is_hung_up(input: &impl AsFd) -> bool {
    let closed = PollFlags::HUP | PollFlags::ERR | PollFlags::RDHUP;
    loop {
        let mut ends = [PollFd::new(input, PollFlags::RDHUP)];
        match poll(&mut ends, None) {
            Ok(_) => return ends.iter().any(|end| end.revents().intersects(closed)),
            Err(error) if error == rustix::io::Errno::INTR => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Write, pipe};
    use std::os::unix::net::UnixStream;
    use std::thread::spawn;

    #[test]
    fn closed_pipe_is_detected_behind_unread_data() {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"unread").unwrap();
        let watch = spawn(move || is_hung_up(&reader));
        assert!(!watch.is_finished());
        drop(writer);
        assert!(watch.join().unwrap());
    }

    #[test]
    fn socket_whose_other_end_says_no_more_is_noticed() {
        let (near, far) = UnixStream::pair().unwrap();
        let watch = spawn(move || is_hung_up(&near));
        far.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(watch.join().unwrap());
    }
}
