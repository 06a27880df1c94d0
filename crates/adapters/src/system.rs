//! Services of the local machine: clock, random ids and the environment store.

mod clock;
#[cfg(feature = "decoders")]
pub mod decoders;
mod environment_store;
mod ids;
mod plain;

pub use clock::SystemClock;
pub use environment_store::FileEnvironmentStore;
pub use ids::RandomIds;
