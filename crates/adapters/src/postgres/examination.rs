//! Examination of a server for `longhaul doctor`.

use super::connection::{PostgresConnection, PostgresTarget};
use super::failure::{answered, unavailable};
use super::{PostgresOptions, PostgresStore};
use longhaul_ports::StoreError;
use std::time::{Duration, Instant};

/// Number of measured round trips.
const ROUND_TRIPS: usize = 20;

/// The settings of a server that a store depends on, and the speed of its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresServerCheck {
    /// Version of the server as it shows it, for example `16.4 (Debian 16.4-1)`.
    pub version: String,
    /// Version of the server as a number, for example 160004.
    pub version_number: i32,
    /// True if the server is a standby, which accepts no writes.
    pub is_standby: bool,
    /// True if a commit is on the disk before the server acknowledges it (`fsync`), and a torn page can be repaired
    /// (`full_page_writes`).
    pub is_durable: bool,
    /// Number of open connections of all programs, as far as the user may see them.
    pub connections: i64,
    /// Maximum number of connections.
    pub max_connections: i32,
    /// Median time of a round trip.
    pub median: Duration,
    /// Longest time of a round trip.
    pub longest: Duration,
}

impl PostgresStore {
    /// Examines the server of a store. Changes nothing.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if the URL is not valid or the server does not answer.
    pub async fn examine(options: &PostgresOptions) -> Result<PostgresServerCheck, StoreError> {
        let target = PostgresTarget::of(&options.url, options.ca_file.as_deref(), true)?;
        let connection = PostgresConnection::open(&target).await?;
        let client = connection.client();
        let mut round_trips = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let sent = Instant::now();
            answered(client.simple_query("SELECT 1")).await?;
            round_trips.push(sent.elapsed());
        }
        round_trips.sort_unstable();
        let row = answered(client.query_one(SETTINGS, &[])).await?;
        let found = || {
            Ok(PostgresServerCheck {
                version: row.try_get(0)?,
                version_number: row.try_get(1)?,
                is_standby: row.try_get(2)?,
                is_durable: row.try_get(3)?,
                connections: row.try_get(4)?,
                max_connections: row.try_get(5)?,
                median: round_trips.get(ROUND_TRIPS / 2).copied().unwrap_or_default(),
                longest: round_trips.last().copied().unwrap_or_default(),
            })
        };
        found().map_err(|error: tokio_postgres::Error| unavailable(error))
    }
}

const SETTINGS: &str = "
SELECT current_setting('server_version'),
    current_setting('server_version_num')::integer,
    pg_is_in_recovery(),
    current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on',
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    current_setting('max_connections')::integer";
