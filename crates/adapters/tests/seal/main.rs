//! Seals of launches, and the file of their keys.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod files;
mod launches;
mod place;
