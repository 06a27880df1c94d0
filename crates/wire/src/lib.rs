//! Serialised types of longhaul, with versions: [`api`] for clients, [`record`] for stores.
//!
//! These types mirror the domain types. Only here is a name on the wire tied to a name in the code, so that a renamed
//! field in the domain breaks neither stored data nor clients.

pub mod api;
pub mod event;
pub mod output;
pub mod record;
