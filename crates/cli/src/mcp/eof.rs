//! The end of what a client has to say, where nobody reads on.

use rustix::event::{PollFd, PollFlags, poll};
use std::io::stdin;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// What the client said last is carried in this time or not at all.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Parks until a client has closed standard input, and a while longer; for ever if that cannot be watched.
///
/// The end is read behind everything else, and nothing is read for a client that takes no answers.
pub(crate) async fn client_gone() {
    let (tell, told) = oneshot::channel();
    // It parks until the program ends, and costs nothing else.
    let watcher = std::thread::Builder::new().name("client".to_owned());
    let watched = watcher.spawn(move || {
        if is_hung_up(&stdin()) {
            let _gone = tell.send(());
        }
    });
    if watched.is_err() || told.await.is_err() {
        std::future::pending::<()>().await;
    }
    sleep(DRAIN_TIMEOUT).await;
}

/// Parks until the other end of a descriptor is closed; false if that cannot be told.
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
    fn pipe_that_is_closed_is_noticed_behind_what_is_unread() {
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
