//! A proxy between a store and its server that loses a commit or the answer to a commit.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// A proxy in front of a server. Its threads end with the test program.
pub(crate) struct Proxy(Arc<PlannedCuts>);

#[derive(Default)]
struct PlannedCuts {
    commit: AtomicBool,
    answer: AtomicBool,
    /// Number of commits and answers that were lost.
    lost: AtomicUsize,
}

impl Proxy {
    pub(crate) fn before(server: &Path, socket: &Path) -> Self {
        let cuts = Arc::new(PlannedCuts::default());
        let listener = UnixListener::bind(socket).unwrap();
        let (server, planned) = (server.to_owned(), Arc::clone(&cuts));
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = UnixStream::connect(&server) else { continue };
                pass(client, server, &planned);
            }
        });
        Self(cuts)
    }

    /// Closes the connection on which the next commit arrives, before the server receives the commit.
    pub(crate) fn lose_next_commit(&self) {
        self.0.commit.store(true, Ordering::SeqCst);
    }

    /// Closes the connection on which the next commit arrives, after the server has answered.
    pub(crate) fn lose_next_answer(&self) {
        self.0.answer.store(true, Ordering::SeqCst);
    }

    pub(crate) fn lost(&self) -> usize {
        self.0.lost.load(Ordering::SeqCst)
    }
}

fn pass(client: UnixStream, server: UnixStream, cuts: &Arc<PlannedCuts>) {
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut from_server, mut to_client) = (server, client);
    let loses_answer = Arc::new(AtomicBool::new(false));
    let (loses, planned, counted) = (Arc::clone(&loses_answer), Arc::clone(cuts), Arc::clone(cuts));
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(count @ 1..) = from_client.read(&mut buffer) {
            let bytes = buffer.get(..count).unwrap_or_default();
            if bytes.windows(7).any(|word| word == b"COMMIT\0") {
                if planned.commit.swap(false, Ordering::SeqCst) {
                    planned.lost.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                if planned.answer.swap(false, Ordering::SeqCst) {
                    loses.store(true, Ordering::SeqCst);
                }
            }
            if to_server.write_all(bytes).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(count @ 1..) = from_server.read(&mut buffer) {
            if loses_answer.load(Ordering::SeqCst) {
                counted.lost.fetch_add(1, Ordering::SeqCst);
                break;
            }
            if to_client.write_all(buffer.get(..count).unwrap_or_default()).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
}
