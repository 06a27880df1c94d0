//! Connections to receivers, which stay open for the next letter.

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

/// The most bytes of the head of an answer.
const MAX_HEAD_BYTES: usize = 64 * 1_024;
/// What follows a head is read so that the connection can be used again, up to here; a longer answer costs a connection.
const MAX_BODY_BYTES: usize = 64 * 1_024;
/// And for so long.
const READ_FOR: Duration = Duration::from_millis(100);

/// A connection that is ready for a letter.
#[derive(Debug)]
pub(super) struct WebhookConnection {
    sender: SendRequest<Full<Bytes>>,
    /// Says that it was used.
    used: watch::Sender<()>,
}

/// The connections that nobody uses just now, one for each receiver. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionPool {
    idle: Arc<Mutex<HashMap<String, WebhookConnection>>>,
}

impl WebhookConnection {
    /// Begins to speak on a connection; one that is not used for `idle` is closed.
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
                    // Whoever waits for an answer is told why there is none.
                    _ = &mut connection => return,
                    used = timeout(idle, uses.changed()) => match used {
                        Ok(Ok(())) => {}
                        // Whoever used it last still reads, or is gone.
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

    /// Sends a request and gives the head of the answer.
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
    /// The open connection to a receiver, if there is one; nobody else gets it meanwhile.
    pub(super) fn take(&self, receiver: &str) -> Option<WebhookConnection> {
        self.locked().remove(receiver).filter(|line| line.sender.is_ready())
    }

    /// Gives a connection back when what follows the head of its answer has been read. What cannot be read soon closes it.
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
