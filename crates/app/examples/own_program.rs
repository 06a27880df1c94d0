//! The program `longhaul` with a store of one's own: `store = "files:/path/of/records"` in its configuration opens it.
//!
//! `cargo run -p longhaul --example own_program -- --help` shows that it is the whole program.

use longhaul::{Longhaul, StoreContext};
use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_engine::ports::StoreError;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    longhaul_shim::run_if_asked();
    Longhaul::builder().movable_store("files", open).run()
}

/// Opens the store. Here it is a SQLite database; yours goes in its place.
async fn open(opening: StoreContext) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(Path::new(&opening.rest), opening.clock, SqliteOptions::default())
}
