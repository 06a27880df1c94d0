//! The program `longhaul` with a custom kind of store. The configuration `store = "files:/path/of/records"` opens a
//! store of this kind.
//!
//! `cargo run -p longhaul --example own_program -- --help` shows that the program is complete.

use longhaul::{Longhaul, StoreContext};
use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_engine::ports::StoreError;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    longhaul_shim::run_if_asked();
    Longhaul::builder().movable_store("files", open).run()
}

/// Opens the store. The example uses a SQLite database in place of a custom store.
async fn open(opening: StoreContext) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(Path::new(&opening.rest), opening.clock, SqliteOptions::default())
}
