//! Servers that cannot guarantee the durability of a store.

use super::Durability;

/// Reason why a server cannot be used as a store. The message contains advice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsuitableServer {
    /// The server is too old and lacks required commands.
    #[error("{server} {version} is too old; use version {floor} or a newer one")]
    TooOld {
        /// Product name: Redis or Valkey.
        server: String,
        /// Version of the server.
        version: String,
        /// Oldest supported version.
        floor: String,
    },
    /// The server would evict records when its memory is full.
    #[error(
        "the server may evict records, because its `maxmemory-policy` is `{policy}`; set it to `noeviction`"
    )]
    Evicts {
        /// Value of `maxmemory-policy`.
        policy: String,
    },
    /// The server does not store writes on disk, or not in time.
    #[error(
        "the server cannot provide the durability `{durability}`: `{setting}` is `{found}`; set it to `{wanted}`, \
         or use `durability=cache` in the URL, which accepts any setting and guarantees nothing"
    )]
    NotDurable {
        /// The requested durability.
        durability: Durability,
        /// Name of the server setting.
        setting: &'static str,
        /// Current value of the setting.
        found: String,
        /// Required value of the setting.
        wanted: &'static str,
    },
    /// The server is a replica, and replicas accept no writes.
    #[error("the server is a replica of {primary}; use the URL of the primary")]
    Replica {
        /// Address of the primary of the replica.
        primary: String,
    },
    /// The number of connected replicas differs from the configured number.
    #[error(
        "the server has {}, but the durability `{durability}` requires another number of replicas; use \
        `durability=replicated:N`, where N is the number of replicas that may be promoted, and connect all \
        of them", counted(*connected)
    )]
    OtherReplicas {
        /// The requested durability.
        durability: Durability,
        /// Number of connected replicas.
        connected: u32,
    },
    /// The server does not report a required property.
    #[error("the server does not report its {what}; allow the Redis user to run `{command}`")]
    Silent {
        /// The property that is missing.
        what: &'static str,
        /// The command that reports the property.
        command: &'static str,
    },
}

fn counted(replicas: u32) -> String {
    if replicas == 1 { "1 replica".to_owned() } else { format!("{replicas} replicas") }
}

impl UnsuitableServer {
    /// Returns true if each write detects this fault itself: a write is not acknowledged while it is waiting for
    /// missing replicas.
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
