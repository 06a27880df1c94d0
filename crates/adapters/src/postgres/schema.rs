//! The tables, and their migrations.

use super::connection::PostgresConnection;
use super::failure::{answered, unavailable};
use crate::rows::{RowKey, StoreCounters};
use longhaul_ports::StoreError;

/// Scripts that each raise the format of the tables by one. `{}` stands for the quoted name of the schema.
const MIGRATIONS: [&str; 1] = [r#"
CREATE TABLE {}.store (one boolean PRIMARY KEY CHECK (one), format integer NOT NULL);
CREATE TABLE {}.process (id uuid PRIMARY KEY, fixed text NOT NULL, changing text NOT NULL);
CREATE TABLE {}.entry (key text COLLATE "C" PRIMARY KEY, id uuid NOT NULL);
CREATE TABLE {}.value (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);
CREATE TABLE {}.event (
    cursor bigint PRIMARY KEY,
    id uuid NOT NULL,
    revision bigint NOT NULL,
    idx integer NOT NULL,
    body text NOT NULL
);
INSERT INTO {}.store (one, format) VALUES (true, 1);
"#];

/// Creates the tables, or raises their format to the newest one.
pub(super) async fn migrate(connection: &mut PostgresConnection) -> Result<(), StoreError> {
    let schema = connection.schema().to_owned();
    let uses_server_time = connection.uses_server_time();
    let client = connection.client_mut();
    let step = answered(client.transaction()).await?;
    let exists = "SELECT to_regclass($1) IS NOT NULL";
    let found: bool = answered(step.query_one(exists, &[&format!("{schema}.store")])).await?.get(0);
    let format = if found {
        answered(step.query_one(&format!("SELECT format FROM {schema}.store"), &[])).await?.get(0)
    } else {
        0
    };
    if is_newest(format)? {
        return Ok(());
    }
    // Only one program at a time creates or changes the tables. The number is arbitrary.
    answered(step.batch_execute("SELECT pg_advisory_xact_lock(7262516043361237)")).await?;
    let found: bool = answered(step.query_one(exists, &[&format!("{schema}.store")])).await?.get(0);
    let mut format: i32 = 0;
    if found {
        format = answered(step.query_one(&format!("SELECT format FROM {schema}.store FOR UPDATE"), &[]))
            .await?
            .get(0);
    } else {
        answered(step.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"))).await?;
    }
    if is_newest(format)? {
        return Ok(());
    }
    let done = usize::try_from(format).unwrap_or(0);
    for script in MIGRATIONS.iter().skip(done) {
        answered(step.batch_execute(&script.replace("{}", &schema))).await?;
    }
    if format == 0 {
        let fresh = answered(step.query_one(
            "SELECT gen_random_uuid()::text, (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            &[],
        ))
        .await?;
        // If the tables were deleted, the new epochs must be higher than all earlier ones.
        let time = u64::try_from(fresh.get::<_, i64>(1)).unwrap_or(0);
        let counters = StoreCounters {
            incarnation: fresh.get(0),
            epochs_from: if uses_server_time { time } else { 0 },
            ..StoreCounters::default()
        };
        let insert = format!("INSERT INTO {schema}.value (key, value) VALUES ($1, $2)");
        let key: RowKey = StoreCounters::key();
        answered(step.execute(&insert, &[&key.as_str(), &counters.encode()])).await?;
    }
    let raise = format!("UPDATE {schema}.store SET format = {}", MIGRATIONS.len());
    answered(step.batch_execute(&raise)).await?;
    answered(step.commit()).await
}

/// Returns true if the tables have the newest format. Fails if a newer program has changed them.
pub(super) fn is_newest(found: i32) -> Result<bool, StoreError> {
    let newest = i32::try_from(MIGRATIONS.len()).map_err(unavailable)?;
    if found > newest {
        let [found, supported] = [found, newest].map(|format| u32::try_from(format).unwrap_or(0));
        return Err(StoreError::Format { found, supported });
    }
    Ok(found == newest)
}
