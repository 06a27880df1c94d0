//! Connections to a Unix socket at a path of any length.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

/// The longest path that fits into an address, in bytes.
const MAX_PATH_LEN: usize = 107;
/// How long a full queue of connections is waited for.
const CONNECT_QUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// The wait between two tries at a full queue, which the kernel offers no way to wait for.
const QUEUE_STEP: Duration = Duration::from_millis(5);

/// Connects to the socket at `path`.
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

/// Tells whether an error of [`connect`] means that nobody listens.
pub(super) fn means_nobody(kind: ErrorKind) -> bool {
    // Whoever starts a manager says what is wrong with its place.
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
    async fn missing_and_abandoned_sockets_mean_nobody() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("s.sock");
        assert!(means_nobody(connect(&path).await.unwrap_err().kind()));
        drop(tokio::net::UnixListener::bind(&path).unwrap());
        assert!(means_nobody(connect(&path).await.unwrap_err().kind()));
    }
}
