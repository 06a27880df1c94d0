//! Connects to Unix sockets, whose paths may be longer than a socket address allows.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

/// Maximum length of the path in a Unix socket address, in bytes.
const MAX_PATH_LEN: usize = 107;
/// Maximum time to wait until the socket's connection backlog has a free place.
const CONNECT_QUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// Delay between two connection attempts while the backlog is full. The kernel offers no way to wait for a free place.
const QUEUE_STEP: Duration = Duration::from_millis(5);

/// Connects to the socket at `path`, and retries while its connection backlog is full.
pub(super) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let until = Instant::now() + CONNECT_QUEUE_TIMEOUT;
    loop {
        match connect_once(path).await {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                sleep(QUEUE_STEP).await
            }
            outcome => return outcome,
        }
    }
}

/// Returns true if this error of [`connect`] means that no program is listening at the socket.
pub(super) fn means_no_listener(kind: ErrorKind) -> bool {
    // `NotADirectory` counts as well: the code that then tries to start a manager reports a precise error about the
    // path.
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::ConnectionRefused)
}

async fn connect_once(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= MAX_PATH_LEN {
        return UnixStream::connect(path).await;
    }
    let missing = || io::Error::from(ErrorKind::NotFound);
    let directory = std::fs::File::open(path.parent().ok_or_else(missing)?)?;
    let mut short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    short.push(path.file_name().ok_or_else(missing)?);
    let stream = UnixStream::connect(short).await;
    drop(directory);
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn path_of_any_length_can_be_connected_to() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("d".repeat(120)).join("e".repeat(120));
        std::fs::create_dir_all(&deep).unwrap();
        let directory = std::fs::File::open(&deep).unwrap();
        let bound = format!("/proc/self/fd/{}/s.sock", directory.as_raw_fd());
        let path = deep.join("s.sock");
        let listener = tokio::net::UnixListener::bind(bound).unwrap();
        let (connected, accepted) = tokio::join!(connect_once(&path), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok());
    }

    #[tokio::test]
    async fn missing_and_abandoned_sockets_mean_no_manager() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("s.sock");
        assert!(means_no_listener(connect(&path).await.unwrap_err().kind()));
        drop(tokio::net::UnixListener::bind(&path).unwrap());
        assert!(means_no_listener(connect(&path).await.unwrap_err().kind()));
    }
}
