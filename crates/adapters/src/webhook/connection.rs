//! HTTP connections to webhook receivers. Idle connections are reused for later deliveries.

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;

/// Maximum size of the head of a response in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1_024;
/// Maximum size of a response body in bytes. The body is read so that the connection can be reused. If the body is
/// longer, the connection is closed.
const MAX_BODY_BYTES: usize = 64 * 1_024;
/// Time limit for reading a response body.
const READ_FOR: Duration = Duration::from_millis(100);

/// An open connection to a webhook receiver.
#[derive(Debug)]
pub(super) struct WebhookConnection {
    sender: SendRequest<Full<Bytes>>,
    /// Notifies the connection task of each use of the connection, which restarts the idle timeout.
    used: watch::Sender<()>,
}

/// Idle connections, at most one for each receiver. Clones share the connections.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionPool {
    idle: Arc<Mutex<HashMap<String, WebhookConnection>>>,
}

impl WebhookConnection {
    /// Opens an HTTP/1 connection on a stream. The connection is closed if it is not used for the time `idle`.
    pub(super) async fn open<S>(stream: S, idle: Duration) -> Result<Self, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream)).await?;
        let (used, mut uses) = watch::channel(());
        tokio::spawn(async move {
            tokio::pin!(connection);
            loop {
                tokio::select! {
                    // The connection has ended. hyper returns the reason to the pending request.
                    _ = &mut connection => return,
                    used = timeout(idle, uses.changed()) => match used {
                        Ok(Ok(())) => {}
                        // The handle was dropped, but its last user may still read a response body.
                        Ok(Err(_)) => {
                            let _ = timeout(idle, &mut connection).await;
                            return;
                        }
                        Err(_) => return,
                    },
                }
            }
        });
        Ok(Self { sender, used })
    }

    /// Sends a request and returns the response. The response body is not read yet.
    pub(super) async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.used.send_replace(());
        let answer = self.sender.send_request(request).await;
        self.used.send_replace(());
        answer
    }
}

impl ConnectionPool {
    /// Takes the idle connection to a receiver out of the pool. Returns `None` if the pool has no usable connection.
    pub(super) fn take(&self, receiver: &str) -> Option<WebhookConnection> {
        self.locked().remove(receiver).filter(|line| line.sender.is_ready())
    }

    /// Reads the remaining bytes of a response and returns the connection to the pool. Closes the connection if the
    /// remaining bytes are too many or take longer than [`READ_FOR`].
    pub(super) async fn put(&self, receiver: &str, line: WebhookConnection, answer: Response<Incoming>) {
        let mut body = answer.into_body();
        let rest = async {
            let mut read = 0;
            while let Some(frame) = body.frame().await {
                read += frame.ok()?.data_ref().map_or(0, Bytes::len);
                if read > MAX_BODY_BYTES {
                    return None;
                }
            }
            let mut line = line;
            line.sender.ready().await.ok()?;
            Some(line)
        };
        if let Ok(Some(line)) = timeout(READ_FOR, rest).await {
            self.locked().insert(receiver.to_owned(), line);
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, WebhookConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
