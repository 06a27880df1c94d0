//! What an acknowledged write outlives.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// What an acknowledged write outlives. The server has to be set up for it, which is looked at when a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is promised: whatever the server keeps. For tries, and where the queue may be lost.
    Cache,
    /// The end of the server and a power cut: it has to append every write to its file, and to wait for the disk.
    #[default]
    Single,
    /// The loss of the server too: a write is acknowledged when so many replicas have it, which have to be all that may
    /// ever be promoted.
    Replicated {
        /// How many replicas there are.
        replicas: NonZeroU32,
    },
}

/// A durability that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the durability {text:?} is not cache, single or replicated:COUNT")]
pub struct UnknownDurability {
    /// What was asked for.
    pub text: String,
}

impl FromStr for Durability {
    type Err = UnknownDurability;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let replicated = text.strip_prefix("replicated:").and_then(|count| count.parse().ok());
        match (text, replicated) {
            ("cache", _) => Ok(Self::Cache),
            ("single", _) => Ok(Self::Single),
            (_, Some(replicas)) => Ok(Self::Replicated { replicas }),
            (_, None) => Err(UnknownDurability { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cache => f.write_str("cache"),
            Self::Single => f.write_str("single"),
            Self::Replicated { replicas } => write!(f, "replicated:{replicas}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let replicated = Durability::Replicated { replicas: NonZeroU32::MIN };
        for durability in [Durability::Cache, Durability::Single, replicated] {
            assert_eq!(durability.to_string().parse(), Ok(durability));
        }
        for none in ["", "always", "replicated", "replicated:0", "replicated:-1"] {
            assert!(none.parse::<Durability>().is_err(), "{none}");
        }
    }
}
