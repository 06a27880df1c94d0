//! Event stream that reconnects after a broken connection.

use crate::reconnection::Reconnection;
use longhaul_client::{Client, ClientError, EventStream, RequestPath, ServerEvent};

/// Event stream that reconnects after a broken connection and resumes after the last received event.
pub(super) struct ResumableStream<'a> {
    client: &'a Client,
    path: RequestPath,
    follow: bool,
    stream: Option<EventStream>,
    after: Option<String>,
    was_connected: bool,
    reconnection: Reconnection,
}

impl<'a> ResumableStream<'a> {
    /// Creates a stream of the events after a cursor. If `follow` is set, the stream ends only when no manager has
    /// answered for too long.
    pub(super) fn new(client: &'a Client, path: RequestPath, after: Option<String>, follow: bool) -> Self {
        let path = path.with("format", "sse").with("follow", if follow { "true" } else { "false" });
        Self {
            client,
            path,
            follow,
            stream: None,
            after,
            was_connected: false,
            reconnection: Reconnection::none(),
        }
    }

    /// Returns the next event. If the stream does not follow new events, returns `None` after the last past event.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub(super) async fn next(&mut self) -> Result<Option<ServerEvent>, ClientError> {
        loop {
            match self.next_sent().await {
                Ok(Some(sent)) => {
                    self.reconnection.end();
                    if sent.id.is_some() {
                        self.after.clone_from(&sent.id);
                    }
                    return Ok(Some(sent));
                }
                Ok(None) if !self.follow => return Ok(None),
                // A manager that shuts down closes its streams. The next manager may already be running.
                Ok(None) => {
                    self.survive(ClientError::Broken { why: "the stream of events stopped".to_owned() })
                        .await?;
                }
                Err(failure) => self.survive(failure).await?,
            }
        }
    }

    async fn next_sent(&mut self) -> Result<Option<ServerEvent>, ClientError> {
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

    /// Waits for a short time before the next attempt to reconnect. Returns the failure if another attempt cannot help
    /// or if the time limit has passed.
    async fn survive(&mut self, failure: ClientError) -> Result<(), ClientError> {
        self.stream = None;
        if !self.follow || !failure.is_temporary() || !self.was_connected {
            return Err(failure);
        }
        self.reconnection.survive(failure).await
    }
}
