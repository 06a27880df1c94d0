//! Tests that a store behaves like the original after it was copied to or from a PostgreSQL database.

use crate::moving::{assert_same, copy};
use crate::process::Server;
use longhaul_adapters::postgres::{PostgresOptions, PostgresStore};
use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use longhaul_testkit::suite::agreement::agree;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_store_agrees_with_the_one_that_it_came_from() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    let clock = VirtualClock::default();
    let sqlite = |name: &str| {
        let path = directory.path().join(name);
        Arc::new(SqliteStore::open(&path, Arc::new(clock.clone()), SqliteOptions::default()).unwrap())
    };
    let postgres = async |schema: &str| {
        let url = format!("{}&schema={schema}", server.url());
        let options = PostgresOptions { clock: Some(Arc::new(clock.clone())), ..PostgresOptions::at(url) };
        Arc::new(PostgresStore::open(options).await.unwrap())
    };
    let world = |store: Arc<dyn Store>| StoreFixture::new(store, clock.clone());
    let (file, tables) = (sqlite("one"), postgres("one").await);
    agree(&world(file.clone()), &world(tables.clone()), 3, 400).await;
    assert_same(file.as_ref(), tables.as_ref()).await;
    let from_file = postgres("two").await;
    copy(file.as_ref(), from_file.as_ref()).await;
    assert_same(file.as_ref(), from_file.as_ref()).await;
    let from_tables = sqlite("two");
    copy(tables.as_ref(), from_tables.as_ref()).await;
    assert_same(tables.as_ref(), from_tables.as_ref()).await;
}
