//! Finds out which commands the server denies to the user of a store. Does so without executing the commands.

use super::RedisStore;
use super::endpoint::Endpoint;
use super::failure::{not_applied, unavailable};
use super::link::{RESPONSE_TIMEOUT, connect};
use super::options::RedisOptions;
use longhaul_ports::StoreError;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, Value, cmd};

/// Every command that the scripts of the store use, with arguments that change nothing if the key does not exist. The
/// probe script is read-only, and the server checks the user's permission before it checks for writes.
const IN_SCRIPTS: &[(&str, &[&str])] = &[
    ("DEL", &[]),
    ("EXISTS", &[]),
    ("HDEL", &["f"]),
    ("HEXISTS", &["f"]),
    ("HGET", &["f"]),
    ("HGETALL", &[]),
    ("HINCRBY", &["f", "1"]),
    ("HKEYS", &[]),
    ("HMGET", &["f"]),
    ("HSCAN", &["0"]),
    ("HSET", &["f", "v"]),
    ("HSETNX", &["f", "v"]),
    ("LINDEX", &["0"]),
    ("LLEN", &[]),
    ("LPOP", &[]),
    ("LRANGE", &["0", "0"]),
    ("RPUSH", &["v"]),
    ("SADD", &["m"]),
    ("SMEMBERS", &[]),
    ("SREM", &["m"]),
    ("XADD", &["*", "f", "v"]),
    ("XDEL", &["0-1"]),
    ("XRANGE", &["-", "+"]),
    ("XREVRANGE", &["+", "-"]),
    ("XSETID", &["0-1"]),
    ("ZADD", &["0", "m"]),
    ("ZCARD", &[]),
    ("ZCOUNT", &["0", "0"]),
    ("ZLEXCOUNT", &["-", "+"]),
    ("ZRANGE", &["0", "0"]),
    ("ZRANGEBYLEX", &["-", "+"]),
    ("ZRANGEBYSCORE", &["0", "0"]),
    ("ZREM", &["m"]),
    ("ZREVRANGEBYSCORE", &["0", "0"]),
    ("ZSCORE", &["m"]),
];

/// Probe script: returns 1 if the user may not run the given command. Servers older than version 7 do not support
/// read-only scripts.
const PROBE: &str = "#!lua flags=no-writes
local answer = redis.pcall(ARGV[1], KEYS[1], unpack(ARGV, 2))
local said = type(answer) == 'table' and answer.err or ''
if string.find(said, 'permissions to run', 1, true) or string.find(said, 'run this command', 1, true) then
  return 1
end
return 0";

/// Hash that belongs to no script on the server.
const NO_SCRIPT: &str = "0000000000000000000000000000000000000000";

impl RedisStore {
    /// Returns the commands that the store needs but its user may not run, in the notation of access control lists.
    /// Changes nothing on the server except its script cache. Commands inside scripts are checked only on servers of
    /// version 7 and newer.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer within some seconds.
    pub async fn lacking(options: &RedisOptions) -> Result<Vec<String>, StoreError> {
        let place = Endpoint::of(options).map_err(unavailable)?;
        let mut connection = connect(&place, RESPONSE_TIMEOUT).await.map_err(not_applied)?;
        // The key starts with the prefix of the namespace, because the user may be limited to this prefix. No stored
        // key has this name.
        let key = format!("{}rights", options.prefix());
        let mut lacking = Vec::new();
        for (name, command) in directly(&key) {
            if is_denied(&mut connection, &command).await? {
                lacking.push(name.to_owned());
            }
        }
        let probe: Result<String, RedisError> =
            cmd("SCRIPT").arg("LOAD").arg(PROBE).query_async(&mut connection).await;
        // If the server does not accept the probe script, for example because it is too old, nothing more can be
        // checked.
        let Ok(probe) = probe else { return Ok(lacking) };
        for (name, words) in IN_SCRIPTS {
            let mut command = cmd("EVALSHA");
            command.arg(&probe).arg(1).arg(&key).arg(*name).arg(*words);
            let answer: Result<i64, RedisError> = command.query_async(&mut connection).await;
            match answer {
                Ok(0) => {}
                Ok(_) => lacking.push(name.to_ascii_lowercase()),
                Err(error) if error.is_unrecoverable_error() || error.is_timeout() => {
                    return Err(not_applied(error));
                }
                // The user may not run any script. The list already contains the command for that.
                Err(_) => break,
            }
        }
        Ok(lacking)
    }
}

/// Returns the commands that the store sends outside of scripts, except the commands that examine the server.
fn directly(key: &str) -> Vec<(&'static str, Cmd)> {
    let with = |name: &str, words: &[&str]| {
        let mut command = cmd(name);
        command.arg(words);
        command
    };
    vec![
        ("evalsha", with("EVALSHA", &[NO_SCRIPT, "0"])),
        ("script|load", with("SCRIPT", &["LOAD", "return 0"])),
        ("wait", with("WAIT", &["0", "1"])),
        ("exists", with("EXISTS", &[key])),
        ("hmget", with("HMGET", &[key, "f"])),
        ("xread", with("XREAD", &["COUNT", "1", "STREAMS", key, "$"])),
        ("xrevrange", with("XREVRANGE", &[key, "+", "-", "COUNT", "1"])),
    ]
}

async fn is_denied(connection: &mut MultiplexedConnection, command: &Cmd) -> Result<bool, StoreError> {
    let answer: Result<Value, RedisError> = command.query_async(connection).await;
    match answer {
        Ok(_) => Ok(false),
        Err(error) if error.is_unrecoverable_error() || error.is_timeout() => Err(not_applied(error)),
        Err(error) => Ok(error.code() == Some("NOPERM")
            && !error.to_string().contains("access a key")
            && !error.to_string().contains("one of the keys")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_of_every_script_is_looked_at() {
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/src/redis/lua");
        let mut given = BTreeSet::new();
        for entry in std::fs::read_dir(scripts).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for part in text.split("call('").skip(1) {
                given.insert(part.split('\'').next().unwrap().to_owned());
            }
        }
        given.remove("TIME");
        let known: BTreeSet<String> = IN_SCRIPTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert!(given.len() > 20, "{given:?}");
        assert_eq!(given.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
    }
}
