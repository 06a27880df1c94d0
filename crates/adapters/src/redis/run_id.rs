//! Identifies the current run of the connected server.

use redis::RedisError;
use redis::aio::MultiplexedConnection;

/// Returns the run id of the server, which changes with every restart.
pub(super) async fn run_id(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
    let reported: String = redis::cmd("INFO").arg("server").query_async(connection).await?;
    let named = reported.lines().find_map(|line| line.strip_prefix("run_id:"));
    Ok(named.unwrap_or_default().trim().to_owned())
}
