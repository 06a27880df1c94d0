//! Listens for the commits of all programs.

use super::connection::PostgresTarget;
use super::failure::unavailable;
use crate::rows::ChangeCounter;
use longhaul_ports::StoreError;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Minimum and maximum delay before a new attempt to connect.
const DELAYS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A task that has its own connection and counts notifications. The task ends when this value is dropped.
#[derive(Debug)]
pub(super) struct ChangeListener(JoinHandle<()>);

impl ChangeListener {
    pub(super) fn start(target: PostgresTarget, changes: Arc<ChangeCounter>) -> Self {
        Self(tokio::spawn(async move {
            let mut delay = DELAYS.0;
            loop {
                let mut was_connected = false;
                let Err(error) = listen(&target, &changes, &mut was_connected).await else { return };
                tracing::warn!(%error, "lost the connection that listens for changes of the store");
                delay = if was_connected { DELAYS.0 } else { delay.saturating_mul(2).min(DELAYS.1) };
                tokio::time::sleep(delay).await;
            }
        }))
    }
}

impl Drop for ChangeListener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens until the connection is lost.
async fn listen(
    target: &PostgresTarget,
    changes: &ChangeCounter,
    was_connected: &mut bool,
) -> Result<(), StoreError> {
    let (client, mut poll) = target.connect().await?;
    let request = format!("LISTEN {}", target.schema());
    let mut request = pin!(client.batch_execute(&request));
    let mut is_listening = false;
    poll_fn(|context: &mut Context<'_>| {
        loop {
            match poll(context) {
                // Notices and parameter changes are rare, so they are not distinguished from notifications.
                Poll::Ready(Some(Ok(_))) => changes.notify(),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(unavailable(error))),
                Poll::Ready(None) => {
                    return Poll::Ready(Err(unavailable("the server closed the connection")));
                }
                Poll::Pending if is_listening => return Poll::Pending,
                Poll::Pending => match request.as_mut().poll(context) {
                    Poll::Ready(Ok(())) => {
                        (is_listening, *was_connected) = (true, true);
                        // Commits since the connection was lost were not reported.
                        changes.notify();
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(unavailable(error))),
                    Poll::Pending => {
                        // The request may only now have been handed to the connection, which must then be polled again.
                        match poll(context) {
                            Poll::Ready(Some(Ok(_))) => changes.notify(),
                            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(unavailable(error))),
                            Poll::Ready(None) => {
                                return Poll::Ready(Err(unavailable("the server closed the connection")));
                            }
                            Poll::Pending => return Poll::Pending,
                        }
                    }
                },
            }
        }
    })
    .await
}
