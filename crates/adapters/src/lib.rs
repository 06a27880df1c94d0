//! Driven adapters of longhaul, one module and one Cargo feature each; none imports another.
//!
//! | feature | module | port | for |
//! | --- | --- | --- | --- |
//! | `memory` | [`memory`] | store | tests and embedding; the reference |
//! | `sqlite` | [`sqlite`] | store | one machine |
//! | `os` | [`os`] | spawner, output | commands on this machine, each under its shim |
//! | `system` | [`system`] | clock, ids, vault | this machine's time, chance and disk |

#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "os")]
pub mod os;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "system")]
pub mod system;
