//! What can be said about the server of a store without changing anything there.

use super::RedisStore;
use super::acl_error::AclError;
use super::endpoint::Endpoint;
use super::failure::{RedisFailureClass, not_applied, unavailable};
use super::link::{RESPONSE_TIMEOUT, connect};
use super::node_settings::{NodeSettings, differing};
use super::opening::LAYOUT;
use super::options::RedisOptions;
use super::server::{ServerInfo, field, time};
use super::unsuitable::UnsuitableServer;
use longhaul_ports::StoreError;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// So many questions tell how long an answer takes.
const QUESTIONS: usize = 30;
/// They end after this long, however many were answered.
const ASKING: Duration = Duration::from_secs(2);

/// What was found out about the server of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCheck {
    /// What the server tells of itself.
    pub server: ServerInfo,
    /// How long answers take.
    pub round_trips: RoundTrips,
    /// How far its clock is from that of this machine.
    pub skew: ClockSkew,
    /// What is there of the namespace.
    pub namespace: NamespaceState,
    /// The nodes that keep to something else than these options say.
    pub differing: Vec<NodeSettings>,
}

/// How long answers took, one asked after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrips {
    /// How many there were.
    pub count: usize,
    /// Half of them took no longer.
    pub median: Duration,
    /// None took longer.
    pub longest: Duration,
}

/// How far the clock of the server is from that of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew {
    /// In microseconds; positive if the server's is ahead.
    pub ahead: i64,
    /// It may be so much more or less: half of the quickest answer.
    pub within: Duration,
}

/// What is there of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceState {
    /// Nothing: the first manager makes it.
    Absent,
    /// It can be read.
    Readable,
    /// It was written by a newer program, which this one has to be to read it.
    Newer {
        /// The oldest layout that a reader has to know.
        needs: u64,
        /// The newest one that this program knows.
        knows: u64,
    },
}

impl RedisStore {
    /// Looks at the server of a store, and at what is there of its namespace; nothing is changed or founded.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it does not answer within some seconds, or does not tell what has to be known.
    pub async fn examine(options: &RedisOptions) -> Result<ServerCheck, StoreError> {
        let place = Endpoint::of(options).map_err(unavailable)?;
        let mut connection = connect(&place, RESPONSE_TIMEOUT).await.map_err(not_applied)?;
        let told = ServerInfo::ask(&mut connection).await;
        let mut server = told.map_err(|error| match RedisFailureClass::on(&error) {
            RedisFailureClass::Forbidden => match AclError::of(&error) {
                AclError::Command { .. } => {
                    unavailable(UnsuitableServer::Silent { what: "state", command: "info" })
                }
                denial @ (AclError::NoUser | AclError::WrongUser | AclError::Keys { .. }) => {
                    unavailable(denial)
                }
            },
            RedisFailureClass::NotLoaded
            | RedisFailureClass::Lost
            | RedisFailureClass::Busy
            | RedisFailureClass::Demoted
            | RedisFailureClass::Leaderless
            | RedisFailureClass::Unacknowledged
            | RedisFailureClass::Full
            | RedisFailureClass::Halted
            | RedisFailureClass::Damaged
            | RedisFailureClass::Other => not_applied(error),
        })?;
        server.ask_begin(&mut connection).await.map_err(not_applied)?;
        let (round_trips, skew) = asked(&mut connection).await.map_err(not_applied)?;
        let meta = format!("{}meta", options.prefix());
        let needs = field(&mut connection, &meta, "min_reader").await.map_err(not_applied)?;
        let namespace = match needs.map(|needs| needs.parse::<u64>().unwrap_or(u64::MAX)) {
            None => NamespaceState::Absent,
            Some(needs) if needs > LAYOUT => NamespaceState::Newer { needs, knows: LAYOUT },
            Some(_) => NamespaceState::Readable,
        };
        let terms = options.terms();
        let differing = differing(&mut connection, &options.prefix(), &terms).await.map_err(not_applied)?;
        Ok(ServerCheck { server, round_trips, skew, namespace, differing })
    }
}

/// Asks for the time again and again.
async fn asked(connection: &mut MultiplexedConnection) -> Result<(RoundTrips, ClockSkew), RedisError> {
    let begun = Instant::now();
    let mut taken = Vec::with_capacity(QUESTIONS);
    let mut skew = ClockSkew { ahead: 0, within: Duration::MAX };
    while taken.is_empty() || (taken.len() < QUESTIONS && begun.elapsed() < ASKING) {
        let before = micros_here();
        let sent = Instant::now();
        let there = time(connection).await?;
        let took = sent.elapsed();
        taken.push(took);
        // The quickest answer says it best.
        if took / 2 < skew.within {
            let half = i64::try_from(took.as_micros() / 2).unwrap_or(i64::MAX);
            skew = ClockSkew { ahead: there.saturating_sub(before.saturating_add(half)), within: took / 2 };
        }
    }
    taken.sort_unstable();
    let at = |index: usize| taken.get(index).copied().unwrap_or_default();
    let round_trips = RoundTrips {
        count: taken.len(),
        median: at(taken.len() / 2),
        longest: at(taken.len().saturating_sub(1)),
    };
    Ok((round_trips, skew))
}

fn micros_here() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
