//! Carries lines between a client and the manager.

use crate::mcp::lines::{LineReader, MAX_LINE_LEN, ReadLine};
use crate::mcp::session::{ClientLine, ServerLineAction, Session, unreadable};
use longhaul_wire::api::Problem;
use serde_json::Value;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

/// Answers under way get this long when the client has nothing more to say.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A manager that goes away so often before it said anything is given up.
const MAX_RECONNECTS: u32 = 3;

/// The wait before the second look for the next manager in a row; the first is made at once, each further one waits
/// twice as long.
const RECONNECT_DELAY: Duration = Duration::from_millis(50);

/// The longest such wait.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// Opens ways to the manager.
pub(crate) trait Connector {
    /// What lines go over.
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Opens a way to the manager that answers now, starting one if that is wanted; it has been told on whose behalf.
    async fn dial(&self) -> Result<Self::Stream, ConnectRefusal>;
}

/// Why there is no way to a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectRefusal {
    /// The word for it.
    pub(crate) slug: String,
    /// What a client is told.
    pub(crate) why: String,
}

/// Carries lines between a client and whichever manager answers.
///
/// At most one line is under way in each direction, so that a slow reader at one end costs no memory at the other.
pub(crate) struct StdioProxy<D: Connector, R, W> {
    dial: D,
    client: LineReader<R>,
    out: W,
    session: Session,
    link: Option<ManagerConnection<D::Stream>>,
    /// What the manager said instead of serving.
    refused: Option<ConnectRefusal>,
    /// How often it went away, or was not found, since one said anything.
    failed: u32,
    /// When the next manager is looked for.
    retry: Option<Instant>,
    /// The client has nothing more to say, and answers get until then.
    ends: Option<Instant>,
    /// What the manager is told next.
    to_manager: VecDeque<OutgoingLine>,
    /// What the client is told next.
    to_client: VecDeque<OutgoingLine>,
}

/// A way to a manager.
struct ManagerConnection<S> {
    lines: LineReader<ReadHalf<S>>,
    write: WriteHalf<S>,
}

/// A line under way.
struct OutgoingLine {
    /// The call of the client that it is.
    id: Option<String>,
    line: Vec<u8>,
    sent: usize,
}

/// What happened.
enum ProxyEvent {
    /// The client said something, or nothing more.
    Client(io::Result<Option<ReadLine>>),
    /// The manager said something, or is gone.
    Manager(io::Result<Option<ReadLine>>),
    /// Some bytes went to the client.
    ToClient(io::Result<usize>),
    /// Some bytes went to the manager.
    ToManager(io::Result<usize>),
    /// It is time to look for the next manager.
    Retry,
    /// It takes too long.
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

    /// Carries until the client has nothing more to say.
    ///
    /// # Errors
    /// The client cannot be read from or written to any more; [`ConnectRefusal`] is told to the client itself.
    pub(crate) async fn carry(mut self) -> io::Result<()> {
        loop {
            if self.ends.is_some() && !self.is_busy() {
                break;
            }
            match self.event().await {
                ProxyEvent::Client(said) => match said? {
                    Some(line) => self.said(line).await,
                    None => self.ends = Some(Instant::now() + DRAIN_TIMEOUT),
                },
                ProxyEvent::Manager(Ok(Some(line))) => self.heard(line),
                ProxyEvent::Manager(Ok(None) | Err(_)) | ProxyEvent::ToManager(Ok(0) | Err(_)) => self.lost(),
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
        // Whoever does not read does not keep the program alive.
        timeout(DRAIN_TIMEOUT, self.out.flush()).await.unwrap_or(Ok(()))
    }

    /// Whether something is left to be carried after the client's last word.
    fn is_busy(&self) -> bool {
        let may_come = self.link.is_some() || self.retry.is_some();
        let waits = may_come && (self.session.is_waiting() || !self.to_manager.is_empty());
        waits || !self.to_client.is_empty()
    }

    /// Waits for what happens next. Each branch may be dropped without losing a byte.
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
            told = send(out, to_client), if may_tell => ProxyEvent::ToClient(told),
            heard = next(hears), if may_hear => ProxyEvent::Manager(heard),
            sent = send_to(speaks, to_manager), if may_speak => ProxyEvent::ToManager(sent),
            said = client.next(), if may_listen => ProxyEvent::Client(said),
            () = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => ProxyEvent::Retry,
            () = sleep_until(ends.unwrap_or_else(Instant::now)), if ends.is_some() => ProxyEvent::Late,
        }
    }

    /// Takes a line of the client; the manager is looked for when there is something to tell it.
    async fn said(&mut self, line: ReadLine) {
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
        let ClientLine { line, id } = self.session.said(line);
        self.to_manager.push_back(OutgoingLine { id, line, sent: 0 });
    }

    fn heard(&mut self, line: ReadLine) {
        let line = match line {
            ReadLine::Whole(line) => line,
            // Half a line of a manager is none: what comes next is its end.
            ReadLine::Unended(_) => return,
            ReadLine::TooLong(begin) => return self.heard_too_much(&begin),
        };
        self.refused = refusal(&line);
        if self.refused.is_some() {
            // What comes next is the end of this way: whoever waits is answered then.
            return;
        }
        self.failed = 0;
        match self.session.heard(&line) {
            ServerLineAction::Pass => self.to_client.push_back(OutgoingLine::of(line)),
            ServerLineAction::Instead(line) => self.to_client.push_back(OutgoingLine::of(line)),
            ServerLineAction::Hide => {}
        }
    }

    /// Answers what the manager answered with more than is carried.
    fn heard_too_much(&mut self, begin: &[u8]) {
        match self.session.heard_too_much(begin) {
            Some(answer) => self.to_client.push_back(OutgoingLine::of(answer)),
            // Whoever waits for that would wait for ever: this way says nothing that can be told apart any more.
            None => self.lost(),
        }
    }

    /// The manager is gone: what it took with it is answered, unless the next one can be asked for it.
    fn lost(&mut self) {
        self.link = None;
        let unsent = self.to_manager.drain(..).filter(|parcel| parcel.sent == 0);
        let unsent: Vec<String> = unsent.filter_map(|parcel| parcel.id).collect();
        let has_spoken = self.failed == 0;
        self.failed = self.failed.saturating_add(1);
        if let Some(refused) = self.refused.take() {
            self.give_up(&refused);
        } else {
            let answers = self.session.lost(&unsent, has_spoken);
            self.to_client.extend(answers.into_iter().map(OutgoingLine::of));
            if self.failed >= MAX_RECONNECTS {
                self.give_up(&ConnectRefusal::silent());
            }
        }
        self.look_out();
    }

    /// Sees to it that the next manager is looked for, if there is need of one before the client says more.
    fn look_out(&mut self) {
        let is_needed = self.session.goes_on() || (self.ends.is_none() && self.session.listens());
        self.retry = is_needed.then(|| Instant::now() + pause(self.failed));
    }

    async fn retry(&mut self) {
        self.retry = None;
        if self.link.is_none()
            && let Err(refused) = self.connect().await
        {
            self.failed = self.failed.saturating_add(1);
            // One that ends while it begins is followed by another.
            if self.failed >= MAX_RECONNECTS {
                self.give_up(&refused);
            }
            self.look_out();
        }
    }

    fn give_up(&mut self, refused: &ConnectRefusal) {
        let answers = self.session.gave_up(&refused.why, &refused.slug);
        self.to_client.extend(answers.into_iter().map(OutgoingLine::of));
    }

    async fn connect(&mut self) -> Result<(), ConnectRefusal> {
        let (read, write) = tokio::io::split(self.dial.dial().await?);
        self.link = Some(ManagerConnection { lines: LineReader::new(read), write });
        self.retry = None;
        self.to_manager.extend(self.session.again().into_iter().map(OutgoingLine::of));
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

/// The wait before the next manager is looked for, after so many that were none.
fn pause(failed: u32) -> Duration {
    let doubled = failed.checked_sub(2).map(|times| RECONNECT_DELAY.saturating_mul(1 << times.min(16)));
    doubled.unwrap_or_default().min(MAX_RETRY_DELAY)
}

/// Writes as much of the first line as is taken now.
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

/// What a manager says instead of serving.
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
