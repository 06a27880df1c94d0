//! A namespace as a whole: whether there is one, and what a copy does with the one that it makes.

use super::failure::not_applied;
use super::link::RedisConnection;
use super::{RedisOptions, RedisStore};
use super::{endpoint::Endpoint, failure};
use longhaul_ports::StoreError;
use std::time::Duration;

/// The longest that the server may take for all keys of a namespace.
const SCAN_TIMEOUT: Duration = Duration::from_secs(120);

/// Gives all keys that begin with the prefix.
const FIND: &str = "\
local found, cursor = {}, '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. '*', 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do found[key] = true end
until cursor == '0'
";

/// Lets all keys go, and says how many there were.
const DELETE_ALL: &str = "\
local count = 0
for key in pairs(found) do count = count + redis.call('DEL', key) end
return count
";

/// Gives all keys the second prefix instead, if no key of a namespace has it yet.
const RENAME: &str = "\
if redis.call('EXISTS', ARGV[2] .. 'meta') == 1 then return 0 end
for key in pairs(found) do redis.call('RENAME', key, ARGV[2] .. string.sub(key, #ARGV[1] + 1)) end
return 1
";

impl RedisStore {
    /// Whether the server has the namespace.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub async fn exists(options: &RedisOptions) -> Result<bool, StoreError> {
        let mut command = redis::cmd("EXISTS");
        command.arg(format!("{}meta", options.prefix()));
        ask(options, &command).await.map(|count| count > 0)
    }

    /// Lets a namespace go that nobody uses, and says whether there was anything.
    ///
    /// # Errors
    /// If the server cannot do it.
    pub async fn discard(options: &RedisOptions) -> Result<bool, StoreError> {
        let mut command = redis::cmd("EVAL");
        command.arg(format!("{FIND}{DELETE_ALL}")).arg(0).arg(options.prefix());
        ask(options, &command).await.map(|count| count > 0)
    }

    /// Gives a namespace that nobody uses another name in one step; false if that one is taken. It is for servers that
    /// are no shards of a cluster: the keys would have to go to another one.
    ///
    /// # Errors
    /// If the server cannot do it.
    pub async fn rename(options: &RedisOptions, namespace: &str) -> Result<bool, StoreError> {
        let place = RedisOptions { namespace: namespace.to_owned(), ..options.clone() };
        let mut command = redis::cmd("EVAL");
        command.arg(format!("{FIND}{RENAME}")).arg(0).arg(options.prefix()).arg(place.prefix());
        ask(options, &command).await.map(|count| count > 0)
    }
}

/// Over a connection that waits for as long as it takes.
async fn ask(options: &RedisOptions, command: &redis::Cmd) -> Result<u64, StoreError> {
    let link = RedisConnection::new(Endpoint::of(options).map_err(failure::unavailable)?, options);
    let mut connection = link.blocking(SCAN_TIMEOUT).await?;
    command.query_async(&mut connection).await.map_err(not_applied)
}
