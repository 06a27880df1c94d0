//! The serialised shapes of longhaul, versioned: [`api`] is what clients see, [`record`] is what stores keep.
//!
//! They mirror the domain's types and are the only place where a name on the wire is tied to one in the code, so a
//! renamed field in the rules can break neither stored data nor clients.

pub mod api;
pub mod event;
pub mod output;
pub mod record;
