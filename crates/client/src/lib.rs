//! A typed client of the longhaul manager.
//!
//! [`state_dir`] finds the state directory, [`ManagerLocator`] finds or starts its manager, and [`Client`] sends requests
//! over the socket. `examples/launch.rs` is a complete program.

mod autostart;
mod calls;
mod client;
mod error;
mod lookup;
mod manager_locator;
mod state_dir;
mod user_file;

pub use autostart::{START_BYTES, autostart, full_disk_problem};
#[cfg(any(test, feature = "fake"))]
pub use client::fake;
pub use client::{Client, ContentStream, EventStream, FrameStream, RequestPath, ServerEvent};
pub use error::ClientError;
pub use lookup::{LookupError, state_dir};
pub use manager_locator::{Autostart, ManagerLocator, StartError};
pub use state_dir::{LISTEN, LOG, MCP_SOCKET, SOCKET, StateDir, StateDirError};
pub use user_file::{PROJECT_FILE, PROJECT_STATE, UserFileError, user_file};
