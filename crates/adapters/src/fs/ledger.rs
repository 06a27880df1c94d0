//! The state of the store in memory: plain ordered maps, and an index that is derived from the records alone.

mod claim;
mod homes;
mod index;
mod label;
mod maintenance;
mod query;
mod rows;
pub(super) mod state;
mod submit;
pub(super) mod updates;
mod write;
