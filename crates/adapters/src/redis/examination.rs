//! Examines the server of a store without changing the server.

use super::RedisStore;
use super::acl_error::AclError;
use super::endpoint::Endpoint;
use super::failure::{RedisFailureClass, not_applied, unavailable};
use super::link::{RESPONSE_TIMEOUT, connect};
use super::node_settings::{NodeSettings, differing};
use super::opening::{LAYOUT, MIN_READER};
use super::options::RedisOptions;
use super::server::{ServerInfo, field, time};
use super::unsuitable::UnsuitableServer;
use longhaul_ports::StoreError;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Maximum number of requests that measure the round-trip time.
const QUESTIONS: usize = 30;
/// Time limit of the whole measurement.
const ASKING: Duration = Duration::from_secs(2);

/// Result of the examination of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCheck {
    /// Properties that the server reports about itself.
    pub server: ServerInfo,
    /// Measured round-trip times.
    pub round_trips: RoundTrips,
    /// Difference between the clock of the server and the clock of this machine.
    pub skew: ClockSkew,
    /// State of the namespace.
    pub namespace: NamespaceState,
    /// Nodes whose settings differ from these options.
    pub differing: Vec<NodeSettings>,
}

/// Round-trip times of requests that were sent in sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrips {
    /// Number of measured round trips.
    pub count: usize,
    /// Median round-trip time.
    pub median: Duration,
    /// Longest round-trip time.
    pub longest: Duration,
}

/// Difference between the clock of the server and the clock of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew {
    /// Offset of the server clock in microseconds; positive if the server clock is ahead.
    pub ahead: i64,
    /// Maximum error of the offset: half of the shortest round trip.
    pub within: Duration,
}

/// State of a namespace on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceState {
    /// The namespace does not exist; the first manager creates it.
    Absent,
    /// The namespace exists and this program can read it.
    Readable,
    /// A newer or older program wrote the namespace, and this program cannot read it.
    Unreadable {
        /// Oldest layout version that a program must support to read the namespace.
        layout: u64,
        /// Newest layout version that this program reads.
        supported: u64,
    },
}

impl RedisStore {
    /// Examines the server of a store and its namespace. Changes and creates nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer within some seconds or does not report required
    /// properties.
    pub async fn examine(options: &RedisOptions) -> Result<ServerCheck, StoreError> {
        let place = Endpoint::of(options).map_err(unavailable)?;
        let mut connection = connect(&place, RESPONSE_TIMEOUT).await.map_err(not_applied)?;
        let reported = ServerInfo::ask(&mut connection).await;
        let mut server = reported.map_err(|error| match RedisFailureClass::on(&error) {
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
        let (round_trips, skew) = measure(&mut connection).await.map_err(not_applied)?;
        let meta = format!("{}meta", options.prefix());
        let needs = field(&mut connection, &meta, "min_reader").await.map_err(not_applied)?;
        let namespace = match needs.map(|needs| needs.parse::<u64>().unwrap_or(u64::MAX)) {
            None => NamespaceState::Absent,
            Some(MIN_READER..=LAYOUT) => NamespaceState::Readable,
            Some(layout) => NamespaceState::Unreadable { layout, supported: LAYOUT },
        };
        let terms = options.terms();
        let differing = differing(&mut connection, &options.prefix(), &terms).await.map_err(not_applied)?;
        Ok(ServerCheck { server, round_trips, skew, namespace, differing })
    }
}

/// Reads the clock of the server several times, to measure the round-trip time and the difference between the clocks.
async fn measure(connection: &mut MultiplexedConnection) -> Result<(RoundTrips, ClockSkew), RedisError> {
    let begun = Instant::now();
    let mut taken = Vec::with_capacity(QUESTIONS);
    let mut skew = ClockSkew { ahead: 0, within: Duration::MAX };
    while taken.is_empty() || (taken.len() < QUESTIONS && begun.elapsed() < ASKING) {
        let before = micros_here();
        let sent = Instant::now();
        let there = time(connection).await?;
        let took = sent.elapsed();
        taken.push(took);
        // The shortest round trip gives the most exact offset.
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
