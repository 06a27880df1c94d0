//! Signals that callers may send to commands.

use std::fmt;

/// A signal that may be sent to a command, as its number on Linux.
///
/// Signals that kill, halt or continue a process are excluded, because the status would then be wrong. The actions
/// cancel, pause and resume have these effects on the whole tree, and they are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// Names of the permitted Linux signals by number. The numbers are the same on x86, ARM and RISC-V.
const NAMES: [(u8, &str); 25] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (7, "BUS"),
    (8, "FPE"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (16, "STKFLT"),
    (17, "CHLD"),
    (23, "URG"),
    (24, "XCPU"),
    (25, "XFSZ"),
    (26, "VTALRM"),
    (27, "PROF"),
    (28, "WINCH"),
    (29, "IO"),
    (30, "PWR"),
    (31, "SYS"),
];
const HALTING: [(u8, &str); 4] = [(19, "STOP"), (20, "TSTP"), (21, "TTIN"), (22, "TTOU")];
const KILL: (u8, &str) = (9, "KILL");
const CONTINUE: (u8, &str) = (18, "CONT");
/// First real-time signal that programs may use freely. The C library reserves the numbers 32 and 33.
const FIRST_FREE: u8 = 34;
const LAST: u8 = 64;

/// The reason why a signal may not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignal {
    /// No signal has this name or number.
    #[error("there is no signal {asked:?}")]
    Unknown {
        /// Name or number that was requested.
        asked: String,
    },
    /// KILL, which would end only the main process. The cancel action ends the whole tree and is recorded.
    #[error("KILL is not available as a signal: use cancel, which kills the whole tree")]
    Kills,
    /// A signal that would halt a process while all interfaces still show its status as running.
    #[error("{name} is not available as a signal: use pause, which stops the whole tree")]
    Halts {
        /// Name of the signal.
        name: &'static str,
    },
    /// CONT, which would continue a process while all interfaces still show its status as paused.
    #[error("CONT is not available as a signal: use resume, which continues the whole tree")]
    Continues,
}

impl Signal {
    /// Validates a signal number.
    ///
    /// # Errors
    /// [`InvalidSignal`] for unknown numbers, and for signals that kill, halt or continue a process.
    pub fn new(number: u8) -> Result<Self, InvalidSignal> {
        if number == KILL.0 {
            return Err(InvalidSignal::Kills);
        }
        if number == CONTINUE.0 {
            return Err(InvalidSignal::Continues);
        }
        if let Some((_, name)) = HALTING.iter().find(|(each, _)| *each == number) {
            return Err(InvalidSignal::Halts { name });
        }
        let is_named = NAMES.iter().any(|(each, _)| *each == number);
        if is_named || (FIRST_FREE..=LAST).contains(&number) {
            return Ok(Self(number));
        }
        Err(InvalidSignal::Unknown { asked: number.to_string() })
    }

    /// Parses a signal name, with or without `SIG`, or a signal number.
    ///
    /// # Errors
    /// [`InvalidSignal`], as for [`Signal::new`].
    pub fn named(text: &str) -> Result<Self, InvalidSignal> {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let known = NAMES.iter().chain(&HALTING).chain([&KILL, &CONTINUE]);
        let named = known.into_iter().find(|(_, each)| *each == name).map(|(number, _)| *number);
        match named.or_else(|| upper.parse().ok()) {
            Some(number) => Self::new(number),
            None => Err(InvalidSignal::Unknown { asked: text.to_owned() }),
        }
    }

    /// Returns the number of the signal.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Signal {
    /// Writes the name of the signal, such as `USR1`, or the number if the signal has no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// The part of a process tree that receives a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignalTarget {
    /// Only the launched process itself receives the signal.
    #[default]
    Main,
    /// The launched process and all its descendants receive the signal.
    Tree,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        for (text, number, shown) in [
            ("USR1", 10, "USR1"),
            ("sighup", 1, "HUP"),
            ("15", 15, "TERM"),
            (" 64 ", 64, "64"),
            ("34", 34, "34"),
        ] {
            let signal = Signal::named(text).unwrap();
            assert_eq!((signal.number(), signal.to_string()), (number, shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn invalid_signal_is_refused() {
        for text in ["", "0", "32", "33", "65", "256", "SIG", "SIGSIGHUP", "USER1", "-9", "RTMIN"] {
            assert_eq!(
                Signal::named(text),
                Err(InvalidSignal::Unknown { asked: text.to_owned() }),
                "{text:?}"
            );
        }
    }

    #[test]
    fn signals_that_kill_stop_or_continue_are_refused_by_name_and_number() {
        for text in ["KILL", "sigkill", "9"] {
            assert_eq!(Signal::named(text), Err(InvalidSignal::Kills), "{text}");
        }
        for (text, name) in [("STOP", "STOP"), ("20", "TSTP"), ("SIGTTIN", "TTIN"), ("22", "TTOU")] {
            assert_eq!(Signal::named(text), Err(InvalidSignal::Halts { name }), "{text}");
        }
        for text in ["CONT", "18"] {
            assert_eq!(Signal::named(text), Err(InvalidSignal::Continues), "{text}");
        }
    }

    #[test]
    fn every_number_is_a_signal_or_refused_for_a_reason() {
        let sent = (0..=u8::MAX).filter(|number| Signal::new(*number).is_ok()).count();
        assert_eq!(sent, NAMES.len() + 31);
        for number in 0..=u8::MAX {
            if let Ok(signal) = Signal::new(number) {
                assert_eq!(Signal::named(&signal.to_string()), Ok(signal));
            }
        }
    }
}
