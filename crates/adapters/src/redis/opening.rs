//! Looking at a server before anything is kept there.

use super::failure::{corrupt, unavailable};
use super::link::RedisConnection;
use super::script::{OPEN, ScriptArgs};
use super::token::token;
use longhaul_ports::StoreError;

/// The version of the layout of keys that is written here.
pub(super) const LAYOUT: u64 = 1;
/// The oldest version whose programs read what is written here.
const MIN_READER: u64 = 1;
/// Refuses a server that cannot keep what a store promises.
pub(super) async fn check(link: &RedisConnection) -> Result<(), StoreError> {
    link.loaded().await?;
    link.fault().map_or(Ok(()), |fault| Err(unavailable(fault)))
}

/// Founds the namespace if there is none, and refuses one of a newer layout.
pub(super) async fn found(link: &RedisConnection) -> Result<(), StoreError> {
    let mut args = ScriptArgs::default();
    args.number(LAYOUT).number(MIN_READER).bytes(&token());
    let needed = link.read(&OPEN, args).await?.number()?;
    if needed <= LAYOUT {
        return Ok(());
    }
    let found = u32::try_from(needed).map_err(|_| corrupt("the layout has no sensible number"))?;
    Err(StoreError::Format { found, supported: u32::try_from(LAYOUT).unwrap_or(u32::MAX) })
}
