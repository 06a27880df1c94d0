//! Checks a server and creates the namespace before the store is used.

use super::failure::{corrupt, unavailable};
use super::link::RedisConnection;
use super::script::{OPEN, ScriptArgs};
use super::token::token;
use longhaul_ports::StoreError;

/// Version of the key layout that this program writes.
pub(super) const LAYOUT: u64 = 2;
/// Oldest layout version that this program can read. Programs of this layout version can also read the data that this
/// program writes.
pub(super) const MIN_READER: u64 = 2;

/// Rejects a server that cannot guarantee the durability of the store.
pub(super) async fn check(link: &RedisConnection) -> Result<(), StoreError> {
    link.loaded().await?;
    link.fault().map_or(Ok(()), |fault| Err(unavailable(fault)))
}

/// Creates the namespace if it does not exist. Rejects a namespace with a newer or older layout.
pub(super) async fn found(link: &RedisConnection) -> Result<(), StoreError> {
    let mut args = ScriptArgs::default();
    args.number(LAYOUT).number(MIN_READER).bytes(&token());
    let needed = link.read(&OPEN, args).await?.number()?;
    if (MIN_READER..=LAYOUT).contains(&needed) {
        return Ok(());
    }
    let found = u32::try_from(needed).map_err(|_| corrupt("the layout version is not a number"))?;
    Err(StoreError::Format { found, supported: u32::try_from(LAYOUT).unwrap_or(u32::MAX) })
}
