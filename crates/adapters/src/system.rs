//! What this machine gives by itself: its time, its chance, and a private place for environments.

mod clock;
#[cfg(feature = "decoders")]
pub mod decoders;
mod ids;
mod plain;
mod vault;

pub use clock::SystemClock;
pub use ids::RandomIds;
pub use vault::FileVault;
