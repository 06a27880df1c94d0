//! Console output of the program: data goes to standard output, messages for people go to standard error.

use crate::arguments::{ColorChoice, GlobalArgs, OutputFormat};
use crate::failure::{CliError, report};
use crate::json::{indented, on_one_line};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::cell::RefCell;
use std::env;
use std::io::{self, IsTerminal, Write};

/// Width in columns that is assumed if the terminal does not report its width.
const DEFAULT_WIDTH: u16 = 100;

/// Output streams of the program, and the options that determine what is printed to them.
pub(crate) struct Console {
    pub(crate) format: Option<OutputFormat>,
    pub(crate) quiet: bool,
    /// True if hints are printed even when standard error is not a terminal.
    pub(crate) verbose: bool,
    pub(crate) utc: bool,
    /// True if the program may ask the user questions.
    pub(crate) can_ask: bool,
    /// True if the program answers every question with yes, without asking the user.
    pub(crate) yes: bool,
    pub(crate) out: ConsoleStream,
    pub(crate) err: ConsoleStream,
    /// True if the locale supports characters outside of ASCII.
    pub(crate) unicode: bool,
    pub(crate) width: u16,
    out_writer: RefCell<Box<dyn Write>>,
    err_writer: RefCell<Box<dyn Write>>,
}

/// Properties of an output stream: standard output or standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConsoleStream {
    pub(crate) terminal: bool,
    pub(crate) colour: bool,
}

impl ConsoleStream {
    /// Returns the text in the given style. Returns the text unchanged if colors are off.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

impl Console {
    /// Creates a console that writes to the program's standard output and standard error.
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        let face = |terminal: bool| ConsoleStream { terminal, colour: wants_colour(global.color, terminal) };
        let (out, err) = (face(io::stdout().is_terminal()), face(io::stderr().is_terminal()));
        Self {
            format: global.format(),
            quiet: global.quiet,
            verbose: global.verbose > 0,
            utc: global.utc,
            can_ask: !global.no_input && err.terminal && io::stdin().is_terminal(),
            yes: global.yes,
            out,
            err,
            unicode: shows_unicode(|name| env::var(name).ok()),
            width: if out.terminal { terminal_width() } else { DEFAULT_WIDTH },
            out_writer: RefCell::new(Box::new(io::stdout())),
            err_writer: RefCell::new(Box::new(io::stderr())),
        }
    }

    /// Returns true if data is printed as JSON.
    pub(crate) const fn is_json(&self) -> bool {
        matches!(self.format, Some(OutputFormat::Json | OutputFormat::Ndjson))
    }

    /// Writes data to standard output and flushes it.
    pub(crate) fn print(&self, text: &str) -> Result<(), CliError> {
        let mut out = self.out_writer.borrow_mut();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Writes the bytes of a file to standard output.
    pub(crate) fn print_bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = self.out_writer.borrow_mut();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// Writes a value as JSON to standard output. A terminal gets indented JSON on several lines, any other output gets
    /// one line.
    pub(crate) fn print_json<T: Serialize>(&self, value: &T) -> Result<(), CliError> {
        let text = if self.out.terminal && self.format != Some(OutputFormat::Ndjson) {
            indented(value)
        } else {
            on_one_line(value)
        };
        self.print(&text?)
    }

    /// Returns true if messages for people are printed to standard error.
    pub(crate) const fn is_spoken(&self) -> bool {
        !self.quiet && !self.is_json()
    }

    /// Prints a message for people to standard error. Prints nothing with `--quiet` or JSON output.
    pub(crate) fn say(&self, text: &str) {
        if self.is_spoken() {
            self.write_err(&format!("{text}\n"));
        }
    }

    /// Prints a hint for people to standard error, if hints are enabled.
    pub(crate) fn hint(&self, text: &str) {
        if self.wants_hints() {
            self.say(text);
        }
    }

    /// Returns true if hints are enabled.
    pub(crate) const fn wants_hints(&self) -> bool {
        (self.err.terminal || self.verbose) && !self.quiet && !self.is_json()
    }

    /// Prints the text to which a question refers, even with `--quiet`.
    pub(crate) fn ask_about(&self, text: &str) {
        self.write_err(text);
    }

    /// Prints a failure. Prints nothing if the user pressed Ctrl-C or if the reader of standard output has closed it.
    pub(crate) fn complain(&self, failure: CliError) {
        if failure.is_closed_output() || matches!(failure, CliError::Interrupted) {
            return;
        }
        if self.is_json() {
            self.write_err(&on_one_line(&failure.into_problem()).unwrap_or_default());
        } else {
            let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
            self.write_err(&report(&failure).text(|text| self.err.paint(red, text)));
        }
    }

    fn write_err(&self, text: &str) {
        // Errors of this write are ignored: if standard error is closed, the failure cannot be reported anywhere.
        let _closed = self.err_writer.borrow_mut().write_all(text.as_bytes());
    }

    /// Creates a console that stores its output in memory, for tests.
    #[cfg(test)]
    pub(crate) fn kept(format: Option<OutputFormat>, terminal: bool) -> (Self, ConsoleState, ConsoleState) {
        let (out, err) = (ConsoleState::default(), ConsoleState::default());
        let face = ConsoleStream { terminal, colour: false };
        let console = Self {
            format,
            quiet: false,
            verbose: false,
            utc: true,
            can_ask: false,
            yes: false,
            out: face,
            err: face,
            unicode: true,
            width: DEFAULT_WIDTH,
            out_writer: RefCell::new(Box::new(out.clone())),
            err_writer: RefCell::new(Box::new(err.clone())),
        };
        (console, out, err)
    }
}

/// Prints a message for people to standard error. Meant for code that has no [`Console`].
pub(crate) fn say_now(text: &str) {
    // Errors of this write are ignored: if standard error is closed, the failure cannot be reported anywhere.
    let _closed = writeln!(io::stderr(), "{text}");
}

fn wants_colour(paint: ColorChoice, terminal: bool) -> bool {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    match paint {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if set("NO_COLOR") => false,
        ColorChoice::Auto
            if env::var_os("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0") =>
        {
            true
        }
        ColorChoice::Auto => terminal && env::var_os("TERM").is_none_or(|term| term != "dumb"),
    }
}

fn shows_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|locale| !locale.is_empty())
        .is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
}

fn terminal_width() -> u16 {
    rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| size.ws_col)
        .filter(|width| *width > 0)
        .unwrap_or(DEFAULT_WIDTH)
}

#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct ConsoleState {
    text: std::rc::Rc<RefCell<Vec<u8>>>,
    refusal: std::rc::Rc<std::cell::Cell<Option<io::ErrorKind>>>,
}

#[cfg(test)]
impl ConsoleState {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.borrow()).into_owned()
    }

    /// Makes all further writes fail with this error.
    pub(crate) fn refuse(&self, kind: io::ErrorKind) {
        self.refusal.set(Some(kind));
    }
}

#[cfg(test)]
impl Write for ConsoleState {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.refusal.get() {
            Some(kind) => Err(kind.into()),
            None => self.text.borrow_mut().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_wire::api::Problem;

    #[test]
    fn first_locale_variable_that_is_set_decides() {
        let locale = |set: &'static [(&str, &str)]| {
            shows_unicode(|name| {
                set.iter().find(|(each, _)| *each == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(locale(&[("LANG", "de_DE.UTF-8")]));
        assert!(locale(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        assert!(!locale(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!locale(&[]));
    }

    #[test]
    fn failure_is_json_on_standard_error_in_json_mode() {
        let (console, out, err) = Console::kept(Some(OutputFormat::Json), false);
        console.complain(CliError::from(Problem {
            slug: "no_slot".to_owned(),
            status: 409,
            ..Problem::default()
        }));
        let problem: Problem = serde_json::from_str(&err.text()).unwrap();
        assert_eq!((problem.slug.as_str(), problem.status), ("no_slot", 409));
        assert_eq!(out.text(), "");
    }

    #[test]
    fn own_failure_in_json_mode_has_the_same_shape() {
        let (console, _out, err) = Console::kept(Some(OutputFormat::Ndjson), false);
        console.complain(
            longhaul_client::ClientError::Silent { waited: std::time::Duration::from_secs(3), stopped: None }
                .into(),
        );
        let problem: Problem = serde_json::from_str(&err.text()).unwrap();
        assert_eq!(problem.slug, "manager_timeout");
        assert_eq!(problem.title, "the manager did not answer within 3 s");
    }

    #[test]
    fn hints_are_for_terminals_and_never_for_programs() {
        let (console, _out, err) = Console::kept(None, false);
        console.hint("follow: …");
        assert_eq!(err.text(), "");
        let (console, _out, err) = Console::kept(None, true);
        console.hint("follow: …");
        assert_eq!(err.text(), "follow: …\n");
        let (console, _out, err) = Console::kept(Some(OutputFormat::Json), true);
        console.hint("follow: …");
        assert_eq!(err.text(), "");
    }
}
