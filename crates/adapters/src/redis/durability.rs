//! Durability levels of acknowledged writes.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// Guarantee for acknowledged writes. The server needs matching settings. They are checked when a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// No guarantee. For experiments, or if the queue may be lost.
    Cache,
    /// Survives a crash of the server and a power cut: the server must append every write to its file and sync it to
    /// disk.
    #[default]
    Single,
    /// Also survives the loss of the server: a write is acknowledged only after this number of replicas has received
    /// the write. The number must include all replicas that can ever be promoted.
    Replicated {
        /// Number of replicas.
        replicas: NonZeroU32,
    },
}

/// Error for an unknown durability level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid value of `durability`: use cache, single or replicated:N")]
pub struct UnknownDurability {
    /// The text that is not a durability level.
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
    fn a_printed_value_is_parsed_to_the_same_value() {
        let replicated = Durability::Replicated { replicas: NonZeroU32::MIN };
        for durability in [Durability::Cache, Durability::Single, replicated] {
            assert_eq!(durability.to_string().parse(), Ok(durability));
        }
        for none in ["", "always", "replicated", "replicated:0", "replicated:-1"] {
            assert!(none.parse::<Durability>().is_err(), "{none}");
        }
    }
}
