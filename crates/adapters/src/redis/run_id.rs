//! Which server is on the other side.

use redis::RedisError;
use redis::aio::MultiplexedConnection;

/// What a server calls this run of it, which no other run is called.
pub(super) async fn run_id(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
    let told: String = redis::cmd("INFO").arg("server").query_async(connection).await?;
    let named = told.lines().find_map(|line| line.strip_prefix("run_id:"));
    Ok(named.unwrap_or_default().trim().to_owned())
}
