//! One connection to the server, with its prepared statements.

use super::failure::{answered, unavailable};
use super::url::without_parameters;
use longhaul_ports::StoreError;
use std::path::Path;
use std::str::FromStr as _;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Socket, Statement};

/// Name of the schema if the URL names none.
const SCHEMA: &str = "longhaul";
/// Maximum time to connect to one host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Settings of each connection. The plans of the statements never change, because each statement has exactly one useful
/// index. The settings that select these plans make the server overestimate their costs, so that it would compile each
/// execution (`jit`). A server that would lose commits in a crash is asked not to.
const SETTINGS: &str = "
SET application_name = 'longhaul';
SET idle_in_transaction_session_timeout = '15s';
SET lock_timeout = '15s';
SET statement_timeout = '15s';
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off;
SET jit = off;
SET plan_cache_mode = force_generic_plan;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
";

/// The database to connect to.
#[derive(Clone)]
pub(super) struct PostgresTarget {
    config: Config,
    schema: String,
    /// False in tests that set the time themselves.
    uses_server_time: bool,
    #[cfg(feature = "postgres-tls")]
    tls: Option<super::tls::PostgresTls>,
}

/// Polls a connection for the next message of the server that is not an answer.
pub(super) type MessagePoll =
    Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<Result<AsyncMessage, tokio_postgres::Error>>> + Send>;

impl PostgresTarget {
    /// Parses the URL of a database.
    pub(super) fn of(url: &str, ca_file: Option<&Path>, uses_server_time: bool) -> Result<Self, StoreError> {
        let (url, schema) = split_schema(url)?;
        let mut config = Config::from_str(&url).map_err(|error| {
            unavailable(format!("the URL of the PostgreSQL database is not valid: {error}"))
        })?;
        config.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(super::failure::TIMEOUT);
        #[cfg(not(feature = "postgres-tls"))]
        {
            let _ = ca_file;
            if config.get_ssl_mode() == SslMode::Require {
                return Err(unavailable("this build of longhaul has no TLS for PostgreSQL"));
            }
        }
        Ok(Self {
            #[cfg(feature = "postgres-tls")]
            tls: if config.get_ssl_mode() == SslMode::Disable {
                None
            } else {
                super::tls::PostgresTls::of(ca_file, config.get_ssl_mode() == SslMode::Require)?
            },
            config,
            schema,
            uses_server_time,
        })
    }

    /// Returns the quoted name of the schema.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Returns the name of the channel for notifications.
    pub(super) fn channel(&self) -> &str {
        self.schema.trim_matches('"')
    }

    /// Opens a connection. The connection works only while the caller polls the returned [`MessagePoll`], until it returns
    /// `None`.
    pub(super) async fn connect(&self) -> Result<(Client, MessagePoll), StoreError> {
        #[cfg(feature = "postgres-tls")]
        if let Some(tls) = &self.tls {
            return answered(open(&self.config, tls.clone())).await;
        }
        answered(open(&self.config, NoTls)).await
    }
}

async fn open<T>(config: &Config, tls: T) -> Result<(Client, MessagePoll), tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, mut connection) = config.connect(tls).await?;
    Ok((client, Box::new(move |context| connection.poll_message(context))))
}

/// Splits the parameter `schema` off the query string of a URL.
fn split_schema(url: &str) -> Result<(String, String), StoreError> {
    let mut name = SCHEMA;
    let url = without_parameters(url, |parameter, value| {
        let is_schema = parameter == "schema";
        if is_schema {
            name = value;
        }
        Ok(is_schema)
    })?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 60 || !name.chars().all(is_plain) {
        return Err(unavailable(
            "the schema of a PostgreSQL store must consist of at most 60 lowercase letters, digits and underscores",
        ));
    }
    Ok((url, format!("\"{name}\"")))
}

/// One connection to the server, with its prepared statements.
pub(super) struct PostgresConnection {
    client: Client,
    schema: String,
    uses_server_time: bool,
    statements: Option<PostgresStatements>,
}

/// The prepared statements of a connection.
#[derive(Clone)]
pub(super) struct PostgresStatements {
    pub(super) rows: Statement,
    pub(super) scan: Statement,
    pub(super) scan_back: Statement,
    pub(super) count: Statement,
    pub(super) values: Statement,
    pub(super) scan_values: Statement,
    pub(super) events: Statement,
    pub(super) write: Statement,
}

impl PostgresConnection {
    pub(super) async fn open(target: &PostgresTarget) -> Result<Self, StoreError> {
        let (client, mut poll) = target.connect().await?;
        // The task ends when the client is dropped or the connection is lost.
        tokio::spawn(async move {
            while let Some(Ok(_)) = std::future::poll_fn(|context| poll(context)).await {}
        });
        answered(client.batch_execute(SETTINGS)).await?;
        Ok(Self {
            client,
            schema: target.schema().to_owned(),
            uses_server_time: target.uses_server_time,
            statements: None,
        })
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    pub(super) const fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    pub(super) const fn uses_server_time(&self) -> bool {
        self.uses_server_time
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Returns the identity of the server's data directory.
    pub(super) async fn server_id(&self) -> Result<String, StoreError> {
        let query = "SELECT system_identifier::text FROM pg_control_system()";
        Ok(answered(self.client.query_one(query, &[])).await?.get(0))
    }

    /// Returns the prepared statements. Prepares them at the first call.
    pub(super) async fn statements(&mut self) -> Result<PostgresStatements, StoreError> {
        if let Some(statements) = &self.statements {
            return Ok(statements.clone());
        }
        let client = &self.client;
        let [rows, scan, scan_back, count, values, scan_values, events, write] =
            STATEMENTS.map(|text| text.replace("{}", &self.schema));
        let prepared = async {
            let (rows, scan, scan_back, count, values, scan_values, events, write) = tokio::try_join!(
                client.prepare(&rows),
                client.prepare(&scan),
                client.prepare(&scan_back),
                client.prepare(&count),
                client.prepare(&values),
                client.prepare(&scan_values),
                client.prepare(&events),
                client.prepare(&write),
            )?;
            Ok(PostgresStatements { rows, scan, scan_back, count, values, scan_values, events, write })
        };
        let prepared = answered(prepared).await?;
        self.statements = Some(prepared.clone());
        Ok(prepared)
    }
}

/// The statements, in the order of the fields of [`PostgresStatements`]. `{}` stands for the quoted name of the schema.
const STATEMENTS: [&str; 8] = [
    "SELECT id, fixed, changing FROM {}.process WHERE id = ANY($1::uuid[])",
    "SELECT r.no, e.key, e.id FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS r (low, high, no)
     CROSS JOIN LATERAL (
         SELECT key, id FROM {}.entry WHERE key >= r.low AND key < r.high ORDER BY key LIMIT $3::bigint
     ) AS e ORDER BY r.no, e.key",
    "SELECT r.no, e.key, e.id FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS r (low, high, no)
     CROSS JOIN LATERAL (
         SELECT key, id FROM {}.entry WHERE key >= r.low AND key < r.high ORDER BY key DESC LIMIT $3::bigint
     ) AS e ORDER BY r.no, e.key DESC",
    "SELECT (
         SELECT count(*) FROM (
             SELECT FROM {}.entry WHERE key >= r.low AND key < r.high LIMIT $3::bigint
         ) AS e
     ) FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS r (low, high, no) ORDER BY r.no",
    "SELECT key, value FROM {}.value WHERE key = ANY($1::text[])",
    "SELECT key, value FROM {}.value WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3::bigint",
    "SELECT cursor, id, revision, idx, body FROM {}.event WHERE cursor > $1 ORDER BY cursor LIMIT $2::bigint",
    "WITH
     whole AS (
         INSERT INTO {}.process (id, fixed, changing) SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])
         ON CONFLICT (id) DO UPDATE SET fixed = excluded.fixed, changing = excluded.changing
     ),
     change AS (
         UPDATE {}.process AS p SET changing = c.changing FROM unnest($4::uuid[], $5::text[]) AS c (id, changing)
         WHERE p.id = c.id
     ),
     removed AS (DELETE FROM {}.process WHERE id = ANY($6::uuid[])),
     entered AS (
         INSERT INTO {}.entry (key, id) SELECT * FROM unnest($7::text[], $8::uuid[])
         ON CONFLICT (key) DO UPDATE SET id = excluded.id
     ),
     unlisted AS (DELETE FROM {}.entry WHERE key = ANY($9::text[])),
     valued AS (
         INSERT INTO {}.value (key, value) SELECT * FROM unnest($10::text[], $11::text[])
         ON CONFLICT (key) DO UPDATE SET value = excluded.value
     ),
     cleared AS (DELETE FROM {}.value WHERE key = ANY($12::text[])),
     logged AS (
         INSERT INTO {}.event (cursor, id, revision, idx, body)
         SELECT * FROM unnest($13::bigint[], $14::uuid[], $15::bigint[], $16::integer[], $17::text[])
     ),
     trimmed AS (DELETE FROM {}.event WHERE cursor <= $18::bigint)
     SELECT pg_notify($19::text, '') WHERE $20::boolean",
];
