//! Servers that cannot keep what a store promises.

use super::Durability;

/// Why a server cannot be used as a store. The message says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsuitableServer {
    /// It lacks commands that are needed.
    #[error("{server} {version} is older than {floor}; use a newer one")]
    TooOld {
        /// Redis or Valkey.
        server: String,
        /// Its version.
        version: String,
        /// The oldest one that will do.
        floor: String,
    },
    /// It would forget processes when its memory is full.
    #[error("the server may evict records; set `maxmemory-policy` to `noeviction`, it is `{policy}`")]
    Evicts {
        /// The value of `maxmemory-policy`.
        policy: String,
    },
    /// It keeps nothing on its disk, or not in time.
    #[error(
        "the server cannot keep the durability `{durability}`: `{setting}` is `{found}`; set it to `{wanted}`, \
         or use `durability=cache` in the URL, which accepts any setting and guarantees nothing"
    )]
    NotDurable {
        /// What was asked for.
        durability: Durability,
        /// Which of its settings.
        setting: &'static str,
        /// The value of the setting.
        found: String,
        /// The value that it needs to have.
        wanted: &'static str,
    },
    /// It follows another server, so that nothing can be written to it.
    #[error("the server is a replica of {primary}; use that one")]
    Replica {
        /// The one that it follows.
        primary: String,
    },
    /// Another number of replicas is connected than was said.
    #[error(
        "the server has {}, the durability `{durability}` requires another number; \
         name the number of replicas that may be promoted, and connect them", counted(*connected)
    )]
    OtherReplicas {
        /// What was asked for.
        durability: Durability,
        /// How many are connected.
        connected: u32,
    },
    /// It does not tell what has to be known.
    #[error("the server does not report its {what}; allow the user of the store to run `{command}`")]
    Silent {
        /// What is not known.
        what: &'static str,
        /// The command that tells it.
        command: &'static str,
    },
}

fn counted(replicas: u32) -> String {
    if replicas == 1 { "1 replica".to_owned() } else { format!("{replicas} replicas") }
}

impl UnsuitableServer {
    /// Whether every write notices it by itself: one that waits for replicas in vain is not acknowledged.
    pub(super) const fn is_met_by_each_write(&self) -> bool {
        match self {
            Self::OtherReplicas { durability: Durability::Replicated { replicas }, connected } => {
                *connected < replicas.get()
            }
            Self::OtherReplicas { durability: Durability::Cache | Durability::Single, .. }
            | Self::TooOld { .. }
            | Self::Evicts { .. }
            | Self::NotDurable { .. }
            | Self::Replica { .. }
            | Self::Silent { .. } => false,
        }
    }
}
