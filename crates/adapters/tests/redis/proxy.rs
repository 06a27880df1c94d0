//! A proxy between a store and its server that loses, repeats or shifts replies.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::thread;

/// Value of `passing` if no reply must be lost.
const NOTHING: i64 = i64::MAX;

/// A proxy in front of a server. Its threads end with the test program.
pub(crate) struct Proxy {
    socket: PathBuf,
    orders: Arc<Orders>,
}

/// Planned faults. Only replies to scripts are counted.
struct Orders {
    /// Number of replies that are still passed on. The reply after them is lost, and the connection is closed.
    passing: AtomicI64,
    /// Value that `passing` gets after a reply was lost.
    afterwards: AtomicI64,
    lost: AtomicUsize,
    /// True if the replies of a connection must be shifted by one request. This applies to the next connection that
    /// receives the reply to a script.
    slips: AtomicBool,
    /// True if the next script must not be passed to the server. The connection is closed instead.
    loses_question: AtomicBool,
}

impl Proxy {
    pub(crate) fn before(server: &Path, socket: &Path) -> Self {
        let orders = Arc::new(Orders {
            passing: AtomicI64::new(NOTHING),
            afterwards: AtomicI64::new(NOTHING),
            lost: AtomicUsize::new(0),
            slips: AtomicBool::new(false),
            loses_question: AtomicBool::new(false),
        });
        let listener = UnixListener::bind(socket).unwrap();
        let (server, at) = (server.to_owned(), Arc::clone(&orders));
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = UnixStream::connect(&server) else { continue };
                pass(client, server, &at);
            }
        });
        Self { socket: socket.to_owned(), orders }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Passes on `count` replies to scripts, and loses the reply after them.
    pub(crate) fn lose_answers_after(&self, count: i64) {
        self.orders.afterwards.store(NOTHING, Ordering::SeqCst);
        self.orders.passing.store(count, Ordering::SeqCst);
    }

    /// Closes the connection on which the next script arrives, before the server receives the script.
    pub(crate) fn lose_next_question(&self) {
        self.orders.loses_question.store(true, Ordering::SeqCst);
    }

    pub(crate) fn lose_all_answers(&self) {
        self.orders.afterwards.store(0, Ordering::SeqCst);
        self.orders.passing.store(0, Ordering::SeqCst);
    }

    pub(crate) fn lose_nothing(&self) {
        self.lose_answers_after(NOTHING);
    }

    /// Shifts the replies of a connection, starting with its next reply to a script: each reply is then the reply to
    /// the previous request.
    pub(crate) fn slip(&self) {
        self.orders.slips.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_slipped(&self) -> bool {
        !self.orders.slips.load(Ordering::SeqCst)
    }

    pub(crate) fn lost(&self) -> usize {
        self.orders.lost.load(Ordering::SeqCst)
    }
}

fn pass(client: UnixStream, server: UnixStream, orders: &Arc<Orders>) {
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut from_server, mut to_client) = (server, client);
    // Each read returns exactly one message, because a connection with scripts carries short messages, one after the
    // other.
    let asked = Arc::new(AtomicUsize::new(0));
    let (asks, orders, lost) = (Arc::clone(&asked), Arc::clone(orders), Arc::clone(orders));
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(count @ 1..) = from_client.read(&mut buffer) {
            if buffer.get(..count).unwrap_or_default().windows(7).any(|word| word == b"EVALSHA") {
                if lost.loses_question.swap(false, Ordering::SeqCst) {
                    lost.lost.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                asks.fetch_add(1, Ordering::SeqCst);
            }
            if to_server.write_all(buffer.get(..count).unwrap_or_default()).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(std::net::Shutdown::Both);
    });
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        // The reply to the previous request, and a flag. If the flag is true, this connection sends that reply instead
        // of the current one.
        let (mut before, mut slips) = (Vec::new(), false);
        while let Ok(count @ 1..) = from_server.read(&mut buffer) {
            let is_script = asked.swap(0, Ordering::SeqCst) > 0;
            if is_script {
                let left = orders.passing.load(Ordering::SeqCst);
                if left == 0 {
                    orders.lost.fetch_add(1, Ordering::SeqCst);
                    orders.passing.store(orders.afterwards.load(Ordering::SeqCst), Ordering::SeqCst);
                    break;
                }
                if left != NOTHING {
                    orders.passing.store(left - 1, Ordering::SeqCst);
                }
            }
            let answer = buffer.get(..count).unwrap_or_default().to_vec();
            slips |= is_script && orders.slips.swap(false, Ordering::SeqCst);
            let reported = if slips { &before } else { &answer };
            if to_client.write_all(reported).is_err() {
                break;
            }
            before = answer;
        }
        let _ = to_client.shutdown(std::net::Shutdown::Both);
        let _ = from_server.shutdown(std::net::Shutdown::Both);
    });
}
