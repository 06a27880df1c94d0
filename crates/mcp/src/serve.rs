//! The MCP interface over a Unix socket.

use crate::caller::Caller;
use crate::handshake::{self, HandshakeError};
use crate::mcp::McpInterface;
use crate::stream::MessageStream;
use rmcp::ServiceExt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Size of the read buffer of a stream, in bytes.
const BUFFER: usize = 16 * 1024;
/// Delay before the next accept if the system has no free file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Timeout for writing the rejection of a stream.
const REJECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Limits for a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLimits {
    /// User id of the only user whose connections are served.
    pub owner: u32,
    /// Maximum number of concurrent connections.
    pub connections: usize,
    /// Timeout for the handshake. The first request after the handshake has the same timeout.
    pub handshake: Duration,
}

impl ListenerLimits {
    /// Returns the default limits for connections of this user.
    #[must_use]
    pub const fn for_user(owner: u32) -> Self {
        Self { owner, connections: 1_024, handshake: Duration::from_secs(10) }
    }
}

impl McpInterface {
    /// Accepts connections until `stop` completes, and then closes the open connections. Clients can reconnect without
    /// losing data.
    pub async fn serve(self, listener: UnixListener, bounds: ListenerLimits, stop: impl Future<Output = ()>) {
        let room = Arc::new(Semaphore::new(bounds.connections));
        let mut open = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => match room.clone().try_acquire_owned() {
                    Ok(permit) => drop(open.spawn(self.clone().attend(stream, bounds, permit))),
                    Err(_) => {
                        tracing::debug!("closed a connection: the maximum number of connections is reached")
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
            while open.try_join_next().is_some() {}
        }
        open.shutdown().await;
    }

    /// Serves one stream until it ends. The stream starts with a handshake.
    ///
    /// # Errors
    /// The rejection of the handshake could not be written.
    pub async fn serve_stream<S>(&self, stream: S, time_limit: Duration) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (read, mut write) = tokio::io::split(stream);
        let mut read = BufReader::with_capacity(BUFFER, read);
        let opened = timeout(time_limit, handshake::read(&mut read)).await;
        match opened.unwrap_or(Err(HandshakeError::Gone)) {
            Ok(caller) => {
                self.speak(read, write, caller, time_limit).await;
                Ok(())
            }
            Err(error) => {
                tracing::debug!(%error, "rejected a client stream");
                timeout(REJECT_TIMEOUT, write.write_all(error.line().as_bytes())).await.unwrap_or(Ok(()))
            }
        }
    }

    async fn attend(self, stream: UnixStream, bounds: ListenerLimits, permit: OwnedSemaphorePermit) {
        if stream.peer_cred().is_ok_and(|peer| peer.uid() == bounds.owner) {
            if let Err(error) = self.serve_stream(stream, bounds.handshake).await {
                tracing::debug!(%error, "a connection ended with an error");
            }
        } else {
            tracing::debug!("closed a connection of another user");
        }
        drop(permit);
    }

    async fn speak<R, W>(&self, read: R, write: W, caller: Caller, time_limit: Duration)
    where
        R: AsyncBufRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        match timeout(time_limit, self.server(caller).serve(MessageStream::new(read, write))).await {
            Ok(Ok(running)) => {
                if let Err(error) = running.waiting().await {
                    tracing::debug!(%error, "a connection was interrupted");
                }
            }
            // A client that never sends its first request must not keep a connection occupied.
            Ok(Err(error)) => tracing::debug!(%error, "a client sent no valid first line"),
            Err(_) => tracing::debug!("a client sent no first request in time"),
        }
    }
}
