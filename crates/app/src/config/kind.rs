//! Kinds of configuration values, with functions that parse and format the values.

use std::fmt;
use std::time::Duration;

/// Kind of the values of a configuration key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Whole number from 0 to this maximum.
    Count(u64),
    /// Whole number from 0 to this maximum, or `never`.
    CountOrNever(u64),
    /// Boolean value, `true` or `false`.
    Flag,
    /// Duration from this minimum to 30 days.
    Span(Duration),
    /// Duration from this minimum, or `never`.
    SpanOrNever(Duration),
    /// Size as a number of bytes.
    Size,
    /// One of the words in this list.
    Word(&'static [&'static str]),
    /// Text without restrictions.
    Text,
    /// Name, such as an id or a concurrency key: 1 to 128 bytes, without control characters and without leading or
    /// trailing spaces.
    Name,
    /// Ordered list of texts. In a flag or an environment variable, commas separate the texts.
    List,
    /// One command, or a list of commands. A command is a list of strings.
    Commands,
}

/// A configuration value that was checked against the kind of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigValue {
    /// Whole number, such as a count.
    Count(u64),
    /// Boolean value, `true` or `false`.
    Flag(bool),
    /// Duration, such as a timeout.
    Span(Duration),
    /// The word `never`, which switches a limit off.
    Never,
    /// Size as a number of bytes.
    Size(u64),
    /// Text, word or name.
    Text(String),
    /// Ordered list of texts.
    List(Vec<String>),
    /// List of commands, each with its arguments.
    Commands(Vec<Vec<String>>),
}

/// A configuration value as written in its source, before it is checked against the kind of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RawConfigValue {
    /// Quoted text in a file, or any value of an environment variable, flag or default.
    Text(String),
    /// Number without quotes in a file, stored as text.
    Number(String),
    /// `true` or `false` without quotes in a file.
    Flag(bool),
    /// List of texts in a file.
    List(Vec<String>),
    /// List of lists of texts in a file.
    Lists(Vec<Vec<String>>),
    /// Value of a TOML type that no key accepts. Contains the name of the type.
    Other(&'static str),
}

/// Reason why a value is not valid, with advice for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InvalidValue {
    pub(super) why: String,
    pub(super) help: String,
}

impl ValueKind {
    /// Converts a raw value to a value of this kind. `outside` is true for a value that does not come from a file. The
    /// text of a value that does not come from a file may represent a value of any kind.
    pub(super) fn read(self, raw: &RawConfigValue, outside: bool) -> Result<ConfigValue, InvalidValue> {
        let misfit = |why: &str| InvalidValue { why: why.to_owned(), help: self.example() };
        match (self, raw) {
            (Self::CountOrNever(_) | Self::SpanOrNever(_), RawConfigValue::Text(text)) if text == "never" => {
                Ok(ConfigValue::Never)
            }
            (Self::Count(limit) | Self::CountOrNever(limit), RawConfigValue::Number(text)) => {
                count(text, limit).map_err(|why| misfit(&why))
            }
            (Self::Count(limit) | Self::CountOrNever(limit), RawConfigValue::Text(text)) if outside => {
                count(text, limit).map_err(|why| misfit(&why))
            }
            (Self::Flag, RawConfigValue::Flag(flag)) => Ok(ConfigValue::Flag(*flag)),
            (Self::Flag, RawConfigValue::Text(text)) if outside => match text.as_str() {
                "true" | "1" | "yes" | "on" => Ok(ConfigValue::Flag(true)),
                "false" | "0" | "no" | "off" => Ok(ConfigValue::Flag(false)),
                _ => Err(misfit("the value is neither true nor false")),
            },
            (
                Self::Span(min) | Self::SpanOrNever(min),
                RawConfigValue::Text(text) | RawConfigValue::Number(text),
            ) => {
                let span =
                    longhaul_cli::length(text).map_err(|_unread| misfit("the value is not a duration"))?;
                if span < min {
                    return Err(misfit(&format!(
                        "the value is shorter than {}",
                        RawValue(&ConfigValue::Span(min))
                    )));
                }
                if matches!(self, Self::Span(_)) && span > MAX_DURATION {
                    return Err(misfit("the duration is longer than 30 days"));
                }
                Ok(ConfigValue::Span(span))
            }
            (Self::Size, RawConfigValue::Text(text) | RawConfigValue::Number(text)) => {
                let size = text.parse::<longhaul_cli::SizeArg>();
                size.map(|size| ConfigValue::Size(size.as_bytes()))
                    .map_err(|_unread| misfit("the value is not a size in bytes"))
            }
            (Self::Word(words), RawConfigValue::Text(text)) if words.contains(&text.as_str()) => {
                Ok(ConfigValue::Text(text.clone()))
            }
            (Self::Word(_), RawConfigValue::Text(_)) => {
                Err(misfit("the value is not one of the allowed words"))
            }
            (Self::Text, RawConfigValue::Text(text)) => Ok(ConfigValue::Text(text.clone())),
            (Self::Name, RawConfigValue::Text(text)) => match longhaul_domain::SlotKey::new(text) {
                Ok(_) => Ok(ConfigValue::Text(text.clone())),
                Err(error) => Err(misfit(error.why)),
            },
            (Self::List, RawConfigValue::List(texts)) => Ok(ConfigValue::List(texts.clone())),
            (Self::List, RawConfigValue::Text(text)) if outside => Ok(ConfigValue::List(
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            )),
            (Self::Commands, RawConfigValue::List(words)) => {
                Ok(ConfigValue::Commands(if words.is_empty() { Vec::new() } else { vec![words.clone()] }))
            }
            (Self::Commands, RawConfigValue::Lists(commands)) => Ok(ConfigValue::Commands(commands.clone())),
            (
                Self::Count(_)
                | Self::CountOrNever(_)
                | Self::Flag
                | Self::Span(_)
                | Self::SpanOrNever(_)
                | Self::Size
                | Self::Word(_)
                | Self::Text
                | Self::Name
                | Self::List
                | Self::Commands,
                RawConfigValue::Text(_)
                | RawConfigValue::Number(_)
                | RawConfigValue::Flag(_)
                | RawConfigValue::List(_)
                | RawConfigValue::Lists(_)
                | RawConfigValue::Other(_),
            ) => Err(misfit(&format!("the value is {}", raw.type_name()))),
        }
    }

    /// Returns advice for the user with an example of a valid value.
    fn example(self) -> String {
        match self {
            Self::Count(limit) if limit >= u64::from(u32::MAX) => {
                "give a whole number such as 10, without quotes".to_owned()
            }
            Self::Count(limit) => format!("give a whole number from 0 to {limit}, without quotes"),
            Self::CountOrNever(_) => {
                "give a whole number such as 10, without quotes, or \"never\"".to_owned()
            }
            Self::Flag => "give true or false, without quotes".to_owned(),
            Self::Span(_) => "give a duration such as \"500ms\", \"5s\", \"10m\", \"2h\" or \"7d\"".to_owned(),
            Self::SpanOrNever(_) => "give a duration such as \"60s\", \"2h\" or \"7d\", or \"never\"".to_owned(),
            Self::Size => "give a size such as \"512KiB\", \"64MiB\" or \"5GiB\"".to_owned(),
            Self::Word(words) => format!("give one of {}", words.join(", ")),
            Self::Text => "give a string in quotes".to_owned(),
            Self::List => "give a list of strings, such as [\"one\", \"two\"]".to_owned(),
            Self::Commands => {
                "give a command such as [\"git\", \"diff\"], or a list of such commands".to_owned()
            }
            Self::Name => {
                "give 1 to 128 bytes in quotes, without control characters and without spaces at the start or end".to_owned()
            }
        }
    }
}

impl RawConfigValue {
    const fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Flag(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Lists(_) => "a list of lists",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for RawConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(text) => f.write_str(text),
            Self::Flag(flag) => flag.fmt(f),
            Self::List(texts) => write!(f, "{texts:?}"),
            Self::Lists(lists) => write!(f, "{lists:?}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Formats a value as it is written in a configuration file.
pub(super) struct RawValue<'a>(pub(super) &'a ConfigValue);

impl fmt::Display for RawValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ConfigValue::Count(count) => count.fmt(f),
            ConfigValue::Flag(flag) => flag.fmt(f),
            ConfigValue::Never => f.write_str("\"never\""),
            ConfigValue::Span(span) => {
                write!(
                    f,
                    "\"{}\"",
                    scaled(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), DURATION_UNITS)
                )
            }
            ConfigValue::Size(size) => write!(f, "\"{}\"", scaled(*size, SIZES)),
            ConfigValue::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            ConfigValue::List(texts) => write!(f, "{}", serde_json::Value::from(texts.as_slice())),
            ConfigValue::Commands(commands) => {
                let lists = commands.iter().map(|words| serde_json::Value::from(words.as_slice()));
                write!(f, "{}", serde_json::Value::from_iter(lists))
            }
        }
    }
}

/// Maximum of [`ValueKind::Span`], which is also the maximum of durations in launch flags.
const MAX_DURATION: Duration = Duration::from_secs(30 * 86_400);
/// Units of time in milliseconds, largest first.
const DURATION_UNITS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Units of size in bytes, largest first.
const SIZES: &[(&str, u64)] =
    &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

fn count(text: &str, limit: u64) -> Result<ConfigValue, String> {
    match text.parse::<u64>() {
        Ok(count) if count <= limit => Ok(ConfigValue::Count(count)),
        Ok(_) => Err(format!("the value is greater than {limit}")),
        Err(_) => Err("the value is not a whole number of at least 0".to_owned()),
    }
}

fn scaled(number: u64, units: &[(&str, u64)]) -> String {
    let unit = units.iter().find(|(_, scale)| number >= *scale && number.is_multiple_of(*scale));
    match unit {
        Some((name, scale)) => format!("{}{name}", number / scale),
        None => units.last().map_or_else(String::new, |(name, _)| format!("{number}{name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_written_as_they_are_read() {
        for text in ["500ms", "5s", "90s", "7d", "2h"] {
            let read =
                ValueKind::Span(Duration::ZERO).read(&RawConfigValue::Text(text.into()), false).unwrap();
            let shown = RawValue(&read).to_string();
            let again = ValueKind::Span(Duration::ZERO)
                .read(&RawConfigValue::Text(shown.trim_matches('"').into()), false);
            assert_eq!(again.unwrap(), read, "{text} as {shown}");
        }
        for text in ["0B", "1KiB", "64MiB", "5GiB", "1025B"] {
            let read = ValueKind::Size.read(&RawConfigValue::Text(text.into()), false).unwrap();
            assert_eq!(RawValue(&read).to_string(), format!("{text:?}"));
        }
    }

    #[test]
    fn files_take_the_same_spans_and_sizes_as_flags() {
        let read =
            |kind: ValueKind, text: &str| kind.read(&RawConfigValue::Text(text.into()), false).unwrap();
        for text in ["1h 30m", "1h30m", "1.5", "PT5M", "1 week", "2 days", "90", "0"] {
            let flag: longhaul_cli::DurationArg = text.parse().unwrap();
            assert_eq!(
                read(ValueKind::Span(Duration::ZERO), text),
                ConfigValue::Span(flag.as_duration()),
                "{text}"
            );
        }
        for text in ["64K", "1GB", "2TiB", "100 MiB", "4096", "1kB"] {
            let flag: longhaul_cli::SizeArg = text.parse().unwrap();
            assert_eq!(read(ValueKind::Size, text), ConfigValue::Size(flag.as_bytes()), "{text}");
        }
    }

    #[test]
    fn flags_know_every_signal_that_may_be_sent_by_the_same_name() {
        for number in 1..=64 {
            let Ok(sent) = longhaul_domain::Signal::new(number) else { continue };
            let flag: longhaul_cli::SignalArg = sent.to_string().parse().unwrap();
            assert_eq!(flag.number(), number, "{sent}");
        }
    }

    #[test]
    fn plain_numbers_are_seconds_and_bytes() {
        let number = RawConfigValue::Number("90".into());
        let span = ValueKind::Span(Duration::ZERO).read(&number, false).unwrap();
        assert_eq!(span, ConfigValue::Span(Duration::from_secs(90)));
        assert_eq!(ValueKind::Size.read(&number, false).unwrap(), ConfigValue::Size(90));
    }

    #[test]
    fn span_is_at_most_thirty_days_unless_it_may_be_never() {
        let read = |kind: ValueKind, text: &str| kind.read(&RawConfigValue::Text(text.into()), false);
        assert!(read(ValueKind::Span(Duration::ZERO), "30d").is_ok());
        assert!(read(ValueKind::Span(Duration::ZERO), "2592000001ms").is_err());
        assert!(read(ValueKind::SpanOrNever(Duration::ZERO), "365d").is_ok());
    }

    #[test]
    fn count_may_be_never_where_that_is_said() {
        let never = RawConfigValue::Text("never".into());
        assert_eq!(ValueKind::CountOrNever(9).read(&never, false).unwrap(), ConfigValue::Never);
        assert_eq!(
            ValueKind::CountOrNever(9).read(&RawConfigValue::Number("9".into()), false).unwrap(),
            ConfigValue::Count(9)
        );
        assert_eq!(
            ValueKind::CountOrNever(9).read(&RawConfigValue::Text("9".into()), true).unwrap(),
            ConfigValue::Count(9)
        );
        assert!(ValueKind::CountOrNever(9).read(&RawConfigValue::Text("9".into()), false).is_err());
        assert!(ValueKind::CountOrNever(9).read(&RawConfigValue::Number("10".into()), false).is_err());
        assert!(ValueKind::Count(9).read(&never, true).is_err());
    }

    #[test]
    fn values_of_another_kind_are_refused() {
        let text = RawConfigValue::Text("10".into());
        assert!(ValueKind::Count(100).read(&text, false).is_err());
        assert_eq!(ValueKind::Count(100).read(&text, true).unwrap(), ConfigValue::Count(10));
        assert!(ValueKind::Count(9).read(&text, true).is_err());
        assert!(ValueKind::Text.read(&RawConfigValue::Flag(true), false).is_err());
        assert!(
            ValueKind::Span(Duration::from_secs(60))
                .read(&RawConfigValue::Text("59s".into()), false)
                .is_err()
        );
        assert!(
            ValueKind::Span(Duration::ZERO)
                .read(&RawConfigValue::Text("99999999999999999999d".into()), false)
                .is_err()
        );
        assert!(ValueKind::Span(Duration::ZERO).read(&RawConfigValue::Text("never".into()), false).is_err());
        assert!(ValueKind::Size.read(&RawConfigValue::Text("-1".into()), false).is_err());
    }
}
