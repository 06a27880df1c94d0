//! Names and numbers of signals.

use super::BadValue;
use std::fmt;
use std::str::FromStr;

/// Signal numbers on Linux and their names without the prefix `SIG`.
const NAMES: [(u8, &str); 31] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (7, "BUS"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (16, "STKFLT"),
    (17, "CHLD"),
    (18, "CONT"),
    (19, "STOP"),
    (20, "TSTP"),
    (21, "TTIN"),
    (22, "TTOU"),
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

/// Signal, given as a name or number: `TERM`, `SIGINT`, `15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalArg(u8);

impl SignalArg {
    /// Creates a signal from its number.
    pub(crate) const fn of(number: u8) -> Self {
        Self(number)
    }

    /// Returns the number of the signal.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for SignalArg {
    /// Writes the signal with its prefix, such as `SIGTERM`. A signal without a name is written as `signal 35`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl FromStr for SignalArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let named = NAMES.iter().find(|(_, each)| *each == name).map(|(number, _)| *number);
        let number = named.or_else(|| upper.parse().ok().filter(|number| (1..=64).contains(number)));
        number
            .map(Self)
            .ok_or_else(|| BadValue::new("use a name, such as TERM or SIGINT, or a number from 1 to 64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        for (text, number) in [("TERM", 15), ("sigint", 2), ("9", 9), ("64", 64)] {
            assert_eq!(text.parse::<SignalArg>().map(SignalArg::number), Ok(number), "{text}");
        }
    }

    #[test]
    fn invalid_signal_is_refused() {
        for text in ["", "0", "65", "SIG", "TERMINATE", "-9"] {
            assert!(text.parse::<SignalArg>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn signal_is_shown_by_name() {
        assert_eq!(SignalArg::of(15).to_string(), "SIGTERM");
        assert_eq!(SignalArg::of(35).to_string(), "signal 35");
    }
}
