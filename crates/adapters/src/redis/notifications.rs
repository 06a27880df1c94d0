//! The single blocking request of a store. It waits for changes on behalf of all waiting tasks.

#![expect(clippy::wildcard_enum_match_arm, reason = "what the client may say is not ours, and grows")]

use super::link::RedisConnection;
use longhaul_ports::StoreError;
use redis::Value;
use redis::aio::MultiplexedConnection;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Maximum time that the server waits for a change before it answers a blocking request.
const BLOCKED: Duration = Duration::from_secs(5);
/// Time after the timeout of a blocking request. If no answer has arrived by then, the answer is considered lost.
const LATE: Duration = Duration::from_secs(3);
/// Delay after each notification, so that a busy store does not cause a query for every single change.
const NOTIFY_DELAY: Duration = Duration::from_millis(1);
/// Delay before a lost connection is opened again.
const RECONNECTING: Duration = Duration::from_millis(200);
/// Maximum time that a task waits for a notification. After this time, the task sends a query even without a
/// notification, so that it detects an outage.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Listener on the stream to which every change adds an entry.
#[derive(Debug)]
pub(super) struct NotificationListener {
    receiver: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

/// Subscription of one waiting task.
#[derive(Debug)]
pub(super) struct NotificationWaiter(watch::Receiver<u64>);

impl NotificationListener {
    pub(super) fn start(link: Arc<RedisConnection>) -> Self {
        let (sender, receiver) = watch::channel(0);
        Self { receiver, task: tokio::spawn(listen(link, sender)) }
    }

    pub(super) fn waiter(&self) -> NotificationWaiter {
        NotificationWaiter(self.receiver.clone())
    }
}

impl Drop for NotificationListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NotificationWaiter {
    /// Discards earlier notifications. Must be called before the query that may have to be repeated.
    pub(super) fn open(&mut self) {
        self.0.mark_unchanged();
    }

    /// Waits until a notification arrives or the maximum waiting time is over.
    pub(super) async fn notified(&mut self) {
        // The result is ignored: if the listener has ended, the next query reports the reason.
        let _ = tokio::time::timeout(MAX_WAIT, self.0.changed()).await;
    }
}

async fn listen(link: Arc<RedisConnection>, sender: watch::Sender<u64>) {
    loop {
        // The error is ignored, because the waiting tasks receive the same error from their own queries.
        let Err(_) = receive(&link, &sender).await;
        sender.send_modify(|count| *count += 1);
        tokio::time::sleep(RECONNECTING).await;
    }
}

async fn receive(link: &RedisConnection, sender: &watch::Sender<u64>) -> Result<Infallible, StoreError> {
    let mut connection = link.blocking(BLOCKED + LATE).await?;
    let stream = format!("{}notify", link.prefix());
    let mut last = newest(&mut connection, &stream).await?;
    // Read the history position before the first notification: a notified task may take processes, so a data loss must
    // be detected before that.
    link.history().await?;
    loop {
        sender.send_modify(|count| *count += 1);
        tokio::time::sleep(NOTIFY_DELAY).await;
        loop {
            let heard: Value = redis::cmd("XREAD")
                .arg("BLOCK")
                .arg(BLOCKED.as_millis() as u64)
                .arg("STREAMS")
                .arg(&stream)
                .arg(&last)
                .query_async(&mut connection)
                .await
                .map_err(super::failure::not_applied)?;
            // Do not rely on the ids to increase: if the server was emptied or restored, the stream may have restarted
            // at a lower id.
            let now = match newest_in(&heard) {
                Some(id) => id,
                None => newest(&mut connection, &stream).await?,
            };
            if now != last {
                last = now;
                break;
            }
        }
    }
}

/// Returns the id of the latest notification. If there is none, returns an id that comes before all others.
async fn newest(connection: &mut MultiplexedConnection, notifier: &str) -> Result<String, StoreError> {
    let entries: Value = redis::cmd("XREVRANGE")
        .arg(notifier)
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(1)
        .query_async(connection)
        .await
        .map_err(super::failure::not_applied)?;
    Ok(newest_in(&entries).unwrap_or_else(|| "0-0".to_owned()))
}

/// Returns the last stream id in a nested reply. Only ids have this notation.
fn newest_in(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => {
            let text = str::from_utf8(bytes).ok()?;
            let (time, count) = text.split_once('-')?;
            let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            (digits(time) && digits(count)).then(|| text.to_owned())
        }
        Value::Array(values) => values.iter().rev().find_map(newest_in),
        Value::Map(pairs) => pairs.iter().rev().find_map(|(_, value)| newest_in(value)),
        _ => None,
    }
}
