//! Implements `send`.

use crate::arguments::{OutputFormat, SendArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::short;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longhaul_client::{ClientError, RequestPath};
use longhaul_view::clean_label;
use longhaul_wire::api::{InputReply, InputRequest};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::sleep;

/// Maximum number of input bytes that are sent in one request.
const PART: usize = 256 * 1024;
/// Delay before a request is repeated because the manager could not accept input.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Writes to the standard input of a process.
pub(crate) async fn send(context: &VerbContext, args: &SendArgs) -> Result<i32, CliError> {
    let mut sending = StdinUpload::to(context, &args.id, UnreadInput::GivesUp);
    match args.text.as_deref() {
        Some(text) if text != "-" => {
            let line = if args.no_newline { text.to_owned() } else { format!("{text}\n") };
            sending.bytes(line.as_bytes()).await?;
        }
        // With `--close` and without a text, standard input is not read, because it might never end.
        None if args.close => {}
        None | Some(_) => sending.all_of(tokio::io::stdin()).await?,
    }
    if args.close {
        sending.close().await?;
    } else if sending.asked_nothing() {
        return Err(CliError::Usage {
            what: "there is nothing to send".to_owned(),
            why: Some("no text was given, and standard input is empty".to_owned()),
            help: "use --close to close the input of the process".to_owned(),
        });
    }
    sending.print_outcome()?;
    Ok(DONE)
}

/// Returns true if the manager refused the bytes before it wrote any of them, but may accept them later.
fn is_untouched(failure: &ClientError) -> bool {
    matches!(failure.slug(), "store_unavailable" | "input_unavailable" | "shutting_down")
}

/// Rule for an upload while the process does not read its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnreadInput {
    /// The upload fails and reports how many bytes were accepted.
    GivesUp,
    /// The upload waits until the process reads again.
    Waits,
}

/// Upload of bytes to the standard input of a process.
pub(super) struct StdinUpload<'a> {
    context: &'a VerbContext,
    path: RequestPath,
    reply: InputReply,
    unread: UnreadInput,
}

impl<'a> StdinUpload<'a> {
    pub(super) fn to(context: &'a VerbContext, id: &str, unread: UnreadInput) -> Self {
        let reply = InputReply { id: id.to_owned(), ..InputReply::default() };
        Self { context, path: RequestPath::process_part(id, "input"), reply, unread }
    }

    /// Returns the number of bytes that have been accepted so far.
    pub(super) const fn taken(&self) -> u64 {
        self.reply.bytes
    }

    /// Forwards the data from `source` as it arrives, until `source` ends.
    pub(super) async fn all_of(&mut self, mut source: impl AsyncRead + Unpin) -> Result<(), CliError> {
        let mut part = vec![0; PART];
        loop {
            let read = source.read(&mut part).await;
            let read = read.map_err(|source| CliError::Unfinished {
                what: "standard input cannot be read".to_owned(),
                why: Some(source.to_string()),
                help: "give the text as an argument".to_owned(),
            })?;
            match part.get(..read) {
                Some([]) | None => return Ok(()),
                Some(bytes) => self.bytes(bytes).await?,
            }
        }
    }

    /// Sends all bytes. If the process does not read them, the rule in `unread` applies.
    async fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let request = InputRequest { base64: Some(STANDARD.encode(rest)), ..InputRequest::default() };
            let reply: InputReply = match self.context.client.send(&self.path, &request).await {
                Err(failure) if self.unread == UnreadInput::Waits && is_untouched(&failure) => {
                    sleep(RETRY_DELAY).await;
                    continue;
                }
                reply => reply?,
            };
            let taken = usize::try_from(reply.bytes).unwrap_or(rest.len()).min(rest.len());
            self.take_in(reply);
            rest = rest.get(taken..).unwrap_or_default();
            if taken == 0 && self.unread == UnreadInput::GivesUp {
                return Err(CliError::Unfinished {
                    what: format!("{} bytes could not be written", rest.len()),
                    why: Some(format!(
                        "the process does not read its input; {} bytes of the input were written before",
                        self.reply.bytes
                    )),
                    help: "send the rest when the process reads again".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Returns true if no byte has been accepted yet. It is then even unknown whether the process exists.
    const fn asked_nothing(&self) -> bool {
        self.reply.bytes == 0
    }

    pub(super) async fn close(&mut self) -> Result<(), CliError> {
        let request = InputRequest { close: true, ..InputRequest::default() };
        let reply = self.context.client.send(&self.path, &request).await?;
        self.take_in(reply);
        Ok(())
    }

    fn take_in(&mut self, reply: InputReply) {
        let bytes = self.reply.bytes.saturating_add(reply.bytes);
        self.reply = InputReply { bytes, ..reply };
    }

    fn print_outcome(&self) -> Result<(), CliError> {
        let console = &self.context.console;
        let InputReply { id, bytes, closed } = &self.reply;
        match console.format {
            Some(OutputFormat::Json | OutputFormat::Ndjson) => console.print_json(&self.reply)?,
            Some(OutputFormat::Name) => console.print(&format!("{id}\n"))?,
            Some(OutputFormat::Table | OutputFormat::Wide) | None => {
                let end = if *closed { ", and its input is closed" } else { "" };
                console.say(&format!("sent to {}: {bytes} bytes{end}", clean_label(short(id))));
            }
        }
        Ok(())
    }
}
