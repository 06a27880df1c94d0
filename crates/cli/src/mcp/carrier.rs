//! Carries lines between a client and the manager.

use crate::mcp::lines::{LONGEST, Line, Lines};
use crate::mcp::session::{Session, unreadable};
use longhaul_wire::api::Problem;
use serde_json::Value;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

/// Answers under way get this long when the client has nothing more to say.
const FAREWELL: Duration = Duration::from_secs(1);

/// A manager that goes away so often before it said anything is given up.
const TRIES: u32 = 3;

/// Opens ways to the manager.
pub(crate) trait Dial {
    /// What lines go over.
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Opens a way to the manager that answers now, starting one if that is wanted; it has been told on whose behalf.
    async fn dial(&self) -> Result<Self::Stream, Refused>;
}

/// Why there is no way to a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The word for it.
    pub(crate) slug: String,
    /// What a client is told.
    pub(crate) why: String,
}

/// Carries lines between a client and whichever manager answers.
///
/// At most one line is under way in each direction, so that a slow reader at one end costs no memory at the other.
pub(crate) struct Carrier<D: Dial, R, W> {
    dial: D,
    client: Lines<R>,
    out: W,
    session: Session,
    link: Option<Link<D::Stream>>,
    /// What the manager said instead of serving.
    refused: Option<Refused>,
    /// How often it went away before it said anything.
    silent: u32,
    /// What the manager is told next.
    to_manager: VecDeque<Parcel>,
    /// What the client is told next.
    to_client: VecDeque<Parcel>,
}

/// A way to a manager.
struct Link<S> {
    lines: Lines<ReadHalf<S>>,
    write: WriteHalf<S>,
}

/// A line under way.
struct Parcel {
    line: Vec<u8>,
    sent: usize,
}

/// What happened.
enum Event {
    /// The client said something, or nothing more.
    Client(io::Result<Option<Line>>),
    /// The manager said something, or is gone.
    Manager(io::Result<Option<Line>>),
    /// Some bytes went to the client.
    ToClient(io::Result<usize>),
    /// Some bytes went to the manager.
    ToManager(io::Result<usize>),
    /// It takes too long.
    Late,
}

impl<D, R, W> Carrier<D, R, W>
where
    D: Dial,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    pub(crate) fn new(dial: D, client: R, out: W) -> Self {
        Self {
            dial,
            client: Lines::new(client),
            out,
            session: Session::default(),
            link: None,
            refused: None,
            silent: 0,
            to_manager: VecDeque::new(),
            to_client: VecDeque::new(),
        }
    }

    /// Carries until the client has nothing more to say.
    ///
    /// # Errors
    /// The client cannot be read from or written to any more; [`Refused`] is told to the client itself.
    pub(crate) async fn carry(mut self) -> io::Result<()> {
        let mut until = None;
        loop {
            if until.is_some() && !self.is_busy() {
                break;
            }
            match self.event(until).await {
                Event::Client(said) => match said? {
                    Some(line) => self.said(line).await,
                    None => until = Some(Instant::now() + FAREWELL),
                },
                Event::Manager(Ok(Some(line))) => self.heard(line),
                Event::Manager(Ok(None) | Err(_)) | Event::ToManager(Ok(0) | Err(_)) => self.lost().await,
                Event::ToClient(written) => {
                    if written? == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                }
                Event::ToManager(Ok(_)) => {}
                Event::Late => break,
            }
        }
        // Whoever does not read does not keep the program alive.
        timeout(FAREWELL, self.out.flush()).await.unwrap_or(Ok(()))
    }

    /// Whether something is left to be carried after the client's last word.
    fn is_busy(&self) -> bool {
        let waits = self.link.is_some() && (self.session.is_waiting() || !self.to_manager.is_empty());
        waits || !self.to_client.is_empty()
    }

    /// Waits for what happens next. Each branch may be dropped without losing a byte.
    async fn event(&mut self, until: Option<Instant>) -> Event {
        let Self { client, out, link, to_manager, to_client, .. } = self;
        let (hears, speaks) = match link {
            Some(Link { lines, write }) => (Some(lines), Some(write)),
            None => (None, None),
        };
        let may_hear = hears.is_some() && to_client.is_empty();
        let may_speak = speaks.is_some() && !to_manager.is_empty();
        let may_tell = !to_client.is_empty();
        let may_listen = until.is_none() && to_manager.is_empty();
        tokio::select! {
            told = send(out, to_client), if may_tell => Event::ToClient(told),
            heard = next(hears), if may_hear => Event::Manager(heard),
            sent = send_to(speaks, to_manager), if may_speak => Event::ToManager(sent),
            said = client.next(), if may_listen => Event::Client(said),
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => Event::Late,
        }
    }

    /// Takes a line of the client; the manager is looked for when there is something to tell it.
    async fn said(&mut self, line: Line) {
        let line = match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => return,
            Line::Whole(line) => line,
            Line::TooLong => {
                let why = format!("a message is at most {LONGEST} bytes");
                self.to_client.push_back(Parcel::of(unreadable(&why)));
                return;
            }
        };
        if self.link.is_none()
            && let Err(refused) = self.connect().await
        {
            self.session.said(&line);
            let answer = self.session.refused(&line, &refused.why, &refused.slug);
            self.to_client.extend(answer.map(Parcel::of));
            return;
        }
        self.session.said(&line);
        self.to_manager.push_back(Parcel::of(line));
    }

    fn heard(&mut self, line: Line) {
        let Line::Whole(line) = line else { return };
        self.refused = refusal(&line);
        if self.refused.is_some() {
            // What comes next is the end of this way: whoever waits is answered then.
            return;
        }
        self.silent = 0;
        if self.session.heard(&line) {
            self.to_client.push_back(Parcel::of(line));
        }
    }

    /// The manager is gone: what it took with it is answered. The next one is looked for when there is need.
    async fn lost(&mut self) {
        self.link = None;
        self.to_manager.clear();
        self.silent += 1;
        if let Some(refused) = self.refused.take() {
            return self.give_up(&refused);
        }
        self.to_client.extend(self.session.lost().into_iter().map(Parcel::of));
        if !self.session.is_beginning() {
            return;
        }
        let next = if self.silent < TRIES { self.connect().await } else { Err(Refused::silent()) };
        if let Err(refused) = next {
            self.give_up(&refused);
        }
    }

    fn give_up(&mut self, refused: &Refused) {
        let answers = self.session.gave_up(&refused.why, &refused.slug);
        self.to_client.extend(answers.into_iter().map(Parcel::of));
    }

    async fn connect(&mut self) -> Result<(), Refused> {
        let (read, write) = tokio::io::split(self.dial.dial().await?);
        self.link = Some(Link { lines: Lines::new(read), write });
        self.to_manager.extend(self.session.again().into_iter().map(Parcel::of));
        Ok(())
    }
}

impl Refused {
    fn silent() -> Self {
        let why = "the manager goes away before it says anything".to_owned();
        Self { slug: "connection_broken".to_owned(), why }
    }
}

impl Parcel {
    const fn of(line: Vec<u8>) -> Self {
        Self { line, sent: 0 }
    }
}

/// Writes as much of the first line as is taken now.
async fn send(out: &mut (impl AsyncWrite + Unpin), queue: &mut VecDeque<Parcel>) -> io::Result<usize> {
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
    queue: &mut VecDeque<Parcel>,
) -> io::Result<usize> {
    match out {
        Some(out) => send(out, queue).await,
        None => std::future::pending().await,
    }
}

async fn next<R: AsyncRead + Unpin>(lines: Option<&mut Lines<R>>) -> io::Result<Option<Line>> {
    match lines {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
}

/// What a manager says instead of serving.
fn refusal(line: &[u8]) -> Option<Refused> {
    const BEGIN: &[u8] = b"{\"longhaul_mcp_error\"";
    if !line.starts_with(BEGIN) {
        return None;
    }
    let said: Value = serde_json::from_slice(line).ok()?;
    let problem: Problem = serde_json::from_value(said.get("longhaul_mcp_error")?.clone()).ok()?;
    let why = match problem.help {
        Some(help) => format!("{} ({help})", problem.title),
        None => problem.title,
    };
    Some(Refused { slug: problem.slug, why })
}

#[cfg(test)]
mod tests;
