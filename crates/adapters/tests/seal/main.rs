//! Tests of launch signatures and of the file with the cluster keys.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod files;
mod launches;
mod place;
