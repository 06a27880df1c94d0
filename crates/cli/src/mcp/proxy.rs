//! Proxy that forwards lines between an MCP client and the manager.

use crate::mcp::lines::{LineReader, MAX_LINE_LEN, ReadLine};
use crate::mcp::session::{ClientLine, ServerLineAction, Session, unreadable};
use longhaul_wire::api::Problem;
use serde_json::Value;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

/// Time limit for outstanding responses after the MCP client has closed its input.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Number of consecutive failures, without any message from a manager, after which the proxy answers open requests with
/// an error.
const MAX_RECONNECTS: u32 = 3;

/// Delay before the second of several consecutive attempts to reconnect. The first attempt has no delay; after the
/// second attempt, the delay doubles with each further attempt.
const RECONNECT_DELAY: Duration = Duration::from_millis(50);

/// Maximum delay between two consecutive attempts to reconnect.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// Connector that opens connections to the manager.
pub(crate) trait Connector {
    /// Connection over which lines are sent and received.
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Connects to the running manager. Starts a manager if none is running and starting is allowed. The line that
    /// identifies the client has already been sent on the returned connection.
    async fn dial(&self) -> Result<Self::Stream, ConnectRefusal>;
}

/// Reason why no connection to a manager is possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectRefusal {
    /// Error code for the client.
    pub(crate) slug: String,
    /// Error message for the client.
    pub(crate) why: String,
}

/// Proxy that forwards lines between an MCP client and the current manager, across restarts of the manager.
///
/// The proxy buffers at most one line in each direction, so that a slow reader at one end does not increase the memory
/// usage.
pub(crate) struct StdioProxy<D: Connector, R, W> {
    dial: D,
    client: LineReader<R>,
    out: W,
    session: Session,
    link: Option<ManagerConnection<D::Stream>>,
    /// Refusal that the manager sent instead of opening a session.
    refused: Option<ConnectRefusal>,
    /// Number of lost connections and failed connection attempts since the last message from a manager.
    failed: u32,
    /// Time of the next attempt to reconnect; `None` if none is planned.
    retry: Option<Instant>,
    /// Deadline for outstanding responses. Set as soon as the client has closed its input.
    ends: Option<Instant>,
    /// Lines that are still to be sent to the manager.
    to_manager: VecDeque<OutgoingLine>,
    /// Lines that are still to be sent to the client.
    to_client: VecDeque<OutgoingLine>,
}

/// Connection to a manager.
struct ManagerConnection<S> {
    lines: LineReader<ReadHalf<S>>,
    write: WriteHalf<S>,
}

/// Line that is being sent.
struct OutgoingLine {
    /// Id of the client's request that this line contains; `None` if the line is not a new request.
    id: Option<String>,
    line: Vec<u8>,
    sent: usize,
}

/// Event that the proxy handles.
enum ProxyEvent {
    /// The client sent a line or closed its input.
    Client(io::Result<Option<ReadLine>>),
    /// The manager sent a line or closed the connection.
    Manager(io::Result<Option<ReadLine>>),
    /// The proxy wrote this number of bytes to the client.
    ToClient(io::Result<usize>),
    /// The proxy wrote this number of bytes to the manager.
    ToManager(io::Result<usize>),
    /// The next attempt to reconnect is due.
    Retry,
    /// The deadline for outstanding responses has passed.
    Late,
}

impl<D, R, W> StdioProxy<D, R, W>
where
    D: Connector,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    pub(crate) fn new(dial: D, client: R, out: W) -> Self {
        Self {
            dial,
            client: LineReader::new(client),
            out,
            session: Session::default(),
            link: None,
            refused: None,
            failed: 0,
            retry: None,
            ends: None,
            to_manager: VecDeque::new(),
            to_client: VecDeque::new(),
        }
    }

    /// Forwards lines until the client has closed its input and all outstanding responses are delivered.
    ///
    /// # Errors
    /// Fails if reading from the client or writing to the client fails. A [`ConnectRefusal`] is not an error: the proxy
    /// sends it to the client.
    pub(crate) async fn carry(mut self) -> io::Result<()> {
        loop {
            if self.ends.is_some() && !self.is_busy() {
                break;
            }
            match self.event().await {
                ProxyEvent::Client(said) => match said? {
                    Some(line) => self.handle_client_line(line).await,
                    None => self.ends = Some(Instant::now() + DRAIN_TIMEOUT),
                },
                ProxyEvent::Manager(Ok(Some(line))) => self.handle_manager_line(line),
                ProxyEvent::Manager(Ok(None) | Err(_)) | ProxyEvent::ToManager(Ok(0) | Err(_)) => {
                    self.handle_loss()
                }
                ProxyEvent::ToClient(written) => {
                    if written? == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                }
                ProxyEvent::ToManager(Ok(_)) => {}
                ProxyEvent::Retry => self.retry().await,
                ProxyEvent::Late => break,
            }
        }
        // A client that does not read its messages must not keep this program alive.
        timeout(DRAIN_TIMEOUT, self.out.flush()).await.unwrap_or(Ok(()))
    }

    /// Returns true if lines still have to be forwarded after the client has closed its input.
    fn is_busy(&self) -> bool {
        let may_come = self.link.is_some() || self.retry.is_some();
        let waits = may_come && (self.session.is_waiting() || !self.to_manager.is_empty());
        waits || !self.to_client.is_empty()
    }

    /// Waits for the next event. Every branch is cancel safe: dropping its future loses no byte.
    async fn event(&mut self) -> ProxyEvent {
        let Self { client, out, link, to_manager, to_client, retry, ends, .. } = self;
        let (hears, speaks) = match link {
            Some(ManagerConnection { lines, write }) => (Some(lines), Some(write)),
            None => (None, None),
        };
        let may_hear = hears.is_some() && to_client.is_empty();
        let may_speak = speaks.is_some() && !to_manager.is_empty();
        let may_tell = !to_client.is_empty();
        let may_listen = ends.is_none() && to_manager.is_empty();
        tokio::select! {
            reported = send(out, to_client), if may_tell => ProxyEvent::ToClient(reported),
            heard = next(hears), if may_hear => ProxyEvent::Manager(heard),
            sent = send_to(speaks, to_manager), if may_speak => ProxyEvent::ToManager(sent),
            said = client.next(), if may_listen => ProxyEvent::Client(said),
            () = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => ProxyEvent::Retry,
            () = sleep_until(ends.unwrap_or_else(Instant::now)), if ends.is_some() => ProxyEvent::Late,
        }
    }

    /// Handles a line from the client. Connects to a manager first if there is no connection.
    async fn handle_client_line(&mut self, line: ReadLine) {
        let line = match line {
            ReadLine::Whole(line) | ReadLine::Unended(line) if line.iter().all(u8::is_ascii_whitespace) => {
                return;
            }
            ReadLine::Whole(line) => line,
            ReadLine::Unended(mut line) => {
                line.push(b'\n');
                line
            }
            ReadLine::TooLong(begin) => {
                let why = format!("a message may have at most {MAX_LINE_LEN} bytes");
                self.to_client.push_back(OutgoingLine::of(unreadable(&begin, &why)));
                return;
            }
        };
        if self.link.is_none()
            && let Err(refused) = self.connect().await
        {
            let answer = self.session.refused(&line, &refused.why, &refused.slug);
            self.to_client.extend(answer.map(OutgoingLine::of));
            return;
        }
        let ClientLine { line, id } = self.session.client_line(line);
        self.to_manager.push_back(OutgoingLine { id, line, sent: 0 });
    }

    fn handle_manager_line(&mut self, line: ReadLine) {
        let line = match line {
            ReadLine::Whole(line) => line,
            // The manager stopped in the middle of a line. The incomplete line is dropped, because the next event is
            // the end of the connection, and its handler deals with the open requests.
            ReadLine::Unended(_) => return,
            ReadLine::TooLong(begin) => return self.handle_oversized(&begin),
        };
        self.refused = refusal(&line);
        if self.refused.is_some() {
            // The manager closes the connection after a refusal. Open requests are answered when that happens.
            return;
        }
        self.failed = 0;
        match self.session.server_line(&line) {
            ServerLineAction::Pass => self.to_client.push_back(OutgoingLine::of(line)),
            ServerLineAction::Instead(line) => self.to_client.push_back(OutgoingLine::of(line)),
            ServerLineAction::Hide => {}
        }
    }

    /// Answers the client's request whose response from the manager is too long to be forwarded.
    fn handle_oversized(&mut self, begin: &[u8]) {
        match self.session.oversized_response(begin) {
            Some(answer) => self.to_client.push_back(OutgoingLine::of(answer)),
            // It is unknown which request this response belongs to, so the client could wait for it forever. Therefore
            // the proxy reconnects, which answers or repeats all open requests.
            None => self.handle_loss(),
        }
    }

    /// Handles a lost connection to the manager. Open requests that cannot be repeated are answered with an error.
    fn handle_loss(&mut self) {
        self.link = None;
        let unsent = self.to_manager.drain(..).filter(|parcel| parcel.sent == 0);
        let unsent: Vec<String> = unsent.filter_map(|parcel| parcel.id).collect();
        let has_spoken = self.failed == 0;
        self.failed = self.failed.saturating_add(1);
        if let Some(refused) = self.refused.take() {
            self.refuse_open_requests(&refused);
        } else {
            let answers = self.session.manager_lost(&unsent, has_spoken);
            self.to_client.extend(answers.into_iter().map(OutgoingLine::of));
            if self.failed >= MAX_RECONNECTS {
                self.refuse_open_requests(&ConnectRefusal::silent());
            }
        }
        self.plan_reconnect();
    }

    /// Plans the next attempt to reconnect. Plans none if no manager is needed before the client sends its next
    /// message.
    fn plan_reconnect(&mut self) {
        let is_needed = self.session.repeats_any() || (self.ends.is_none() && self.session.listens());
        self.retry = is_needed.then(|| Instant::now() + pause(self.failed));
    }

    async fn retry(&mut self) {
        self.retry = None;
        if self.link.is_none()
            && let Err(refused) = self.connect().await
        {
            self.failed = self.failed.saturating_add(1);
            // Open requests are refused only after several failures, because a new manager usually follows soon after
            // one that is shutting down.
            if self.failed >= MAX_RECONNECTS {
                self.refuse_open_requests(&refused);
            }
            self.plan_reconnect();
        }
    }

    fn refuse_open_requests(&mut self, refused: &ConnectRefusal) {
        let answers = self.session.refuse_all(&refused.why, &refused.slug);
        self.to_client.extend(answers.into_iter().map(OutgoingLine::of));
    }

    async fn connect(&mut self) -> Result<(), ConnectRefusal> {
        let (read, write) = tokio::io::split(self.dial.dial().await?);
        self.link = Some(ManagerConnection { lines: LineReader::new(read), write });
        self.retry = None;
        self.to_manager.extend(self.session.replay().into_iter().map(OutgoingLine::of));
        Ok(())
    }
}

impl ConnectRefusal {
    fn silent() -> Self {
        let why = "the manager goes away before it says anything".to_owned();
        Self { slug: "connection_broken".to_owned(), why }
    }
}

impl OutgoingLine {
    const fn of(line: Vec<u8>) -> Self {
        Self { id: None, line, sent: 0 }
    }
}

/// Returns the delay before the next attempt to reconnect after `failed` consecutive failures.
fn pause(failed: u32) -> Duration {
    let doubled = failed.checked_sub(2).map(|times| RECONNECT_DELAY.saturating_mul(1 << times.min(16)));
    doubled.unwrap_or_default().min(MAX_RETRY_DELAY)
}

/// Writes as many bytes of the first queued line as the stream accepts. Removes the line when all its bytes are
/// written.
async fn send(out: &mut (impl AsyncWrite + Unpin), queue: &mut VecDeque<OutgoingLine>) -> io::Result<usize> {
    let Some(first) = queue.front_mut() else { return Ok(0) };
    let rest = first.line.get(first.sent..).unwrap_or_default();
    let sent = out.write(rest).await?;
    first.sent += sent;
    if first.sent >= first.line.len() {
        queue.pop_front();
    }
    Ok(sent)
}

async fn send_to<W: AsyncWrite + Unpin>(
    out: Option<&mut W>,
    queue: &mut VecDeque<OutgoingLine>,
) -> io::Result<usize> {
    match out {
        Some(out) => send(out, queue).await,
        None => std::future::pending().await,
    }
}

async fn next<R: AsyncRead + Unpin>(lines: Option<&mut LineReader<R>>) -> io::Result<Option<ReadLine>> {
    match lines {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
}

/// Returns the refusal that a line from the manager contains. Returns `None` for any other line.
fn refusal(line: &[u8]) -> Option<ConnectRefusal> {
    const ERROR_PREFIX: &[u8] = b"{\"longhaul_mcp_error\"";
    if !line.starts_with(ERROR_PREFIX) {
        return None;
    }
    let said: Value = serde_json::from_slice(line).ok()?;
    let problem: Problem = serde_json::from_value(said.get("longhaul_mcp_error")?.clone()).ok()?;
    let why = match problem.help {
        Some(help) => format!("{} ({help})", problem.title),
        None => problem.title,
    };
    Some(ConnectRefusal { slug: problem.slug, why })
}

#[cfg(test)]
mod tests;
