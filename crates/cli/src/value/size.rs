//! Sizes in bytes as values of command-line flags.

use super::BadValue;
use std::str::FromStr;

/// Size in bytes: `4096`, `64K`, `100MiB`, `1GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SizeArg(u64);

impl SizeArg {
    /// Returns the size in bytes.
    #[must_use]
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for SizeArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
        let number: u64 = number.parse().map_err(|_not_a_number| unreadable())?;
        let unit = bytes_in(unit.trim()).ok_or_else(unreadable)?;
        let bytes = number.checked_mul(unit);
        bytes.map(Self).ok_or_else(|| BadValue::new("the size is too large"))
    }
}

fn bytes_in(unit: &str) -> Option<u64> {
    match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kib" => Some(1 << 10),
        "m" | "mib" => Some(1 << 20),
        "g" | "gib" => Some(1 << 30),
        "t" | "tib" => Some(1 << 40),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        "tb" => Some(1_000_000_000_000),
        _ => None,
    }
}

fn unreadable() -> BadValue {
    BadValue::new("use a number of bytes, or a number with a unit, such as 64KiB, 100MiB or 1GB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_both_sorts_are_read() {
        for (text, expected) in [
            ("0", 0),
            ("4096", 4096),
            ("64K", 65_536),
            ("1MiB", 1_048_576),
            ("2 gib", 2_147_483_648),
            ("1kB", 1_000),
            ("1GB", 1_000_000_000),
            ("2TiB", 2 << 40),
            ("1tb", 1_000_000_000_000),
        ] {
            assert_eq!(text.parse::<SizeArg>().map(SizeArg::as_bytes), Ok(expected), "{text}");
        }
    }

    #[test]
    fn invalid_size_is_refused() {
        for text in ["", "MiB", "-1", "1.5G", "1x", "99999999999999999999", "99999999999G"] {
            assert!(text.parse::<SizeArg>().is_err(), "{text:?}");
        }
    }
}
