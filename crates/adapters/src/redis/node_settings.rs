//! Compares the settings that must be equal on all nodes of a namespace.

use super::RedisOptions;
use super::failure::RedisFailureClass;
use redis::RedisError;
use redis::aio::MultiplexedConnection;

/// Settings of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// Name of the node.
    pub node: String,
    /// Durability and lease times of the node, in the notation of a store URL.
    pub terms: String,
}

impl RedisOptions {
    /// Returns the durability and lease times of these options, in the notation of a store URL.
    #[must_use]
    pub fn terms(&self) -> String {
        let durability = self.durability;
        match self.leases {
            None => format!("durability={durability}"),
            Some(times) => {
                let [lease, grace] = [times.lease, times.grace].map(|time| time.as_secs_f64());
                format!("durability={durability}&lease={lease}&grace={grace}")
            }
        }
    }
}

/// Returns the active nodes whose settings differ from these options. Skips nodes with older programs, because these do
/// not store their settings.
pub(super) async fn differing(
    connection: &mut MultiplexedConnection,
    prefix: &str,
    terms: &str,
) -> Result<Vec<NodeSettings>, RedisError> {
    let mut ask = redis::cmd("ZRANGE");
    ask.arg(format!("{prefix}nodes")).arg(0).arg(-1);
    let nodes: Vec<Vec<u8>> = sound(ask.query_async(connection).await)?.unwrap_or_default();
    let mut differing = Vec::new();
    for node in nodes {
        let mut ask = redis::cmd("HMGET");
        ask.arg([format!("{prefix}node:").as_bytes(), &node].concat()).arg(&["left", "lost", "terms"]);
        let known: Option<[Option<Vec<u8>>; 3]> = sound(ask.query_async(connection).await)?;
        let [left, lost, theirs] = known.unwrap_or_default().map(|known| text(&known.unwrap_or_default()));
        let is_there = left != "1" && lost.is_empty();
        if is_there && !theirs.is_empty() && theirs != terms {
            differing.push(NodeSettings { node: text(&node), terms: theirs });
        }
    }
    Ok(differing)
}

/// Converts a damaged reply to `None`, because other code reports the damage.
fn sound<T>(answer: Result<T, RedisError>) -> Result<Option<T>, RedisError> {
    match answer {
        Err(error) if RedisFailureClass::on(&error) == RedisFailureClass::Damaged => Ok(None),
        other => other.map(Some),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
