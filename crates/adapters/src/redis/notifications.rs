//! The one request of a store that blocks: it hears of every change, for all who wait here.

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

/// So long the server holds a request back in which there is nothing to tell.
const BLOCKED: Duration = Duration::from_secs(5);
/// An answer that is so much later than that does not come.
const LATE: Duration = Duration::from_secs(3);
/// After each ring, so that a busy store is not asked for every single change.
const NOTIFY_DELAY: Duration = Duration::from_millis(1);
/// Before a connection that was lost is made anew.
const RECONNECTING: Duration = Duration::from_millis(200);
/// Whoever waits asks again after this long, whatever was heard: then it learns if the server is away.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Hears the bell that every change rings.
#[derive(Debug)]
pub(super) struct NotificationListener {
    rung: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

/// Somebody who waits for the bell.
#[derive(Debug)]
pub(super) struct NotificationWaiter(watch::Receiver<u64>);

impl NotificationListener {
    pub(super) fn start(link: Arc<RedisConnection>) -> Self {
        let (ring, rung) = watch::channel(0);
        Self { rung, task: tokio::spawn(listen(link, ring)) }
    }

    pub(super) fn ear(&self) -> NotificationWaiter {
        NotificationWaiter(self.rung.clone())
    }
}

impl Drop for NotificationListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NotificationWaiter {
    /// What rings from here on counts. To be called before the question that may have to be asked again.
    pub(super) fn open(&mut self) {
        self.0.mark_unchanged();
    }

    /// Returns when something rang, or when it is time to look anyway.
    pub(super) async fn heard(&mut self) {
        // That nobody listens any more is noticed by asking.
        let _ = tokio::time::timeout(MAX_WAIT, self.0.changed()).await;
    }
}

async fn listen(link: Arc<RedisConnection>, ring: watch::Sender<u64>) {
    loop {
        // What made it stop is met by everybody who asks.
        let Err(_) = hear(&link, &ring).await;
        ring.send_modify(|count| *count += 1);
        tokio::time::sleep(RECONNECTING).await;
    }
}

async fn hear(link: &RedisConnection, ring: &watch::Sender<u64>) -> Result<Infallible, StoreError> {
    let mut connection = link.blocking(BLOCKED + LATE).await?;
    let bell = format!("{}bell", link.prefix());
    let mut last = newest(&mut connection, &bell).await?;
    // Whoever asks next may take something: what the server lost has to be known before.
    link.history().await?;
    loop {
        ring.send_modify(|count| *count += 1);
        tokio::time::sleep(NOTIFY_DELAY).await;
        loop {
            let heard: Value = redis::cmd("XREAD")
                .arg("BLOCK")
                .arg(BLOCKED.as_millis() as u64)
                .arg("STREAMS")
                .arg(&bell)
                .arg(&last)
                .query_async(&mut connection)
                .await
                .map_err(super::failure::not_applied)?;
            // A server that was emptied or restored may have gone back.
            let now = match newest_in(&heard) {
                Some(id) => id,
                None => newest(&mut connection, &bell).await?,
            };
            if now != last {
                last = now;
                break;
            }
        }
    }
}

/// The id of the latest ring; one before all others if there was none yet.
async fn newest(connection: &mut MultiplexedConnection, bell: &str) -> Result<String, StoreError> {
    let entries: Value = redis::cmd("XREVRANGE")
        .arg(bell)
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(1)
        .query_async(connection)
        .await
        .map_err(super::failure::not_applied)?;
    Ok(newest_in(&entries).unwrap_or_else(|| "0-0".to_owned()))
}

/// The last id in an answer, however deep it stands in it: ids alone are spelled so.
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
