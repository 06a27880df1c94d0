//! What this machine gives by itself: its time, its chance, and a private place for environments.

mod clock;
#[cfg(feature = "decoders")]
pub mod decoders;
mod environment_store;
mod ids;
mod plain;

pub use clock::SystemClock;
pub use environment_store::FileEnvironmentStore;
pub use ids::RandomIds;
