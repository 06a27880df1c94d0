//! Serialised types of longhaul, with versions: [`api`] for clients, [`record`] for stores.
//!
//! These types mirror the domain types. Field names in serialised data are defined only here. A renamed field in the
//! domain therefore breaks neither stored data nor clients.

pub mod api;
pub mod event;
pub mod output;
pub mod record;
pub mod runner_plan;
pub mod store;
