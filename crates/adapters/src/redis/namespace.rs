//! Operations on a whole namespace: check its existence, delete it, rename it.

use super::failure::not_applied;
use super::link::RedisConnection;
use super::{RedisOptions, RedisStore};
use super::{endpoint::Endpoint, failure};
use longhaul_ports::StoreError;
use std::time::Duration;

/// Timeout for an operation on all keys of a namespace.
const SCAN_TIMEOUT: Duration = Duration::from_secs(120);

/// Lua code that collects all keys with a prefix.
const FIND: &str = "\
local found, cursor = {}, '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. '*', 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do found[key] = true end
until cursor == '0'
";

/// Lua code that deletes the collected keys and returns their number.
const DELETE_ALL: &str = "\
local count = 0
for key in pairs(found) do count = count + redis.call('DEL', key) end
return count
";

/// Lua code that replaces the prefix of the collected keys, unless a namespace with the new prefix exists.
const RENAME: &str = "\
if redis.call('EXISTS', ARGV[2] .. 'meta') == 1 then return 0 end
for key in pairs(found) do redis.call('RENAME', key, ARGV[2] .. string.sub(key, #ARGV[1] + 1)) end
return 1
";

impl RedisStore {
    /// Returns true if the namespace exists on the server.
    ///
    /// # Errors
    /// If the request to the server fails.
    pub async fn exists(options: &RedisOptions) -> Result<bool, StoreError> {
        let mut command = redis::cmd("EXISTS");
        command.arg(format!("{}meta", options.prefix()));
        ask(options, &command).await.map(|count| count > 0)
    }

    /// Deletes a namespace that no node uses. Returns true if the namespace contained any keys.
    ///
    /// # Errors
    /// If the request to the server fails.
    pub async fn discard(options: &RedisOptions) -> Result<bool, StoreError> {
        let mut command = redis::cmd("EVAL");
        command.arg(format!("{FIND}{DELETE_ALL}")).arg(0).arg(options.prefix());
        ask(options, &command).await.map(|count| count > 0)
    }

    /// Renames a namespace that no node uses, in one atomic step. Returns false if a namespace with the new name
    /// exists. Does not work in a Redis cluster, where the keys would have to move to another shard.
    ///
    /// # Errors
    /// If the request to the server fails.
    pub async fn rename(options: &RedisOptions, namespace: &str) -> Result<bool, StoreError> {
        let place = RedisOptions { namespace: namespace.to_owned(), ..options.clone() };
        let mut command = redis::cmd("EVAL");
        command.arg(format!("{FIND}{RENAME}")).arg(0).arg(options.prefix()).arg(place.prefix());
        ask(options, &command).await.map(|count| count > 0)
    }
}

/// Runs the command over a separate connection with a long timeout.
async fn ask(options: &RedisOptions, command: &redis::Cmd) -> Result<u64, StoreError> {
    let link = RedisConnection::new(Endpoint::of(options).map_err(failure::unavailable)?, options);
    let mut connection = link.blocking(SCAN_TIMEOUT).await?;
    command.query_async(&mut connection).await.map_err(not_applied)
}
