//! A stream of what happens, whatever happens to the connection meanwhile.

use crate::client::{Client, EventStream, RequestPath, ServerEvent};
use crate::failure::CliError;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a manager that went away may take to come back.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The wait between two tries to find it again.
const STEP: Duration = Duration::from_millis(100);

/// A stream that goes on where it was when the connection breaks.
pub(super) struct ResumableStream<'a> {
    client: &'a Client,
    path: RequestPath,
    follow: bool,
    stream: Option<EventStream>,
    after: Option<String>,
    was_connected: bool,
    lost_since: Option<Instant>,
}

impl<'a> ResumableStream<'a> {
    /// Asks for a stream after a cursor; with `follow` it is over only when the manager stays away.
    pub(super) fn new(client: &'a Client, path: RequestPath, after: Option<String>, follow: bool) -> Self {
        let path = path.with("format", "sse").with("follow", if follow { "true" } else { "false" });
        Self { client, path, follow, stream: None, after, was_connected: false, lost_since: None }
    }

    /// Gives the next thing that is told; none when all is.
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<ServerEvent>, CliError> {
        loop {
            match self.next_sent().await {
                Ok(Some(sent)) => {
                    self.lost_since = None;
                    if sent.id.is_some() {
                        self.after.clone_from(&sent.id);
                    }
                    return Ok(Some(sent));
                }
                Ok(None) if !self.follow => return Ok(None),
                // A manager that ends closes its streams; the next one may be there already.
                Ok(None) => {
                    self.survive(CliError::Broken { why: "the stream of events stopped".to_owned() }).await?;
                }
                Err(failure) => self.survive(failure).await?,
            }
        }
    }

    async fn next_sent(&mut self) -> Result<Option<ServerEvent>, CliError> {
        if self.stream.is_none() {
            let path = self.path.clone().with_some("after", self.after.as_ref());
            self.stream = Some(self.client.events(&path).await?);
            self.was_connected = true;
        }
        match &mut self.stream {
            Some(stream) => stream.next().await,
            None => Ok(None),
        }
    }

    /// Waits a moment if the manager may come back, and gives up if it did not for too long.
    async fn survive(&mut self, failure: CliError) -> Result<(), CliError> {
        self.stream = None;
        if !self.follow || !failure.is_passing() || !self.was_connected {
            return Err(failure);
        }
        let since = *self.lost_since.get_or_insert_with(Instant::now);
        if since.elapsed() > RECONNECT_TIMEOUT {
            return Err(failure);
        }
        sleep(STEP).await;
        Ok(())
    }
}
