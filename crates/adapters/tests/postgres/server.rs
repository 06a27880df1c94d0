//! The PostgreSQL server that all tests share, and the stores on it.

use crate::process::{SOCKET, Server, command, fill, is_ready, permanent_path, programs, started, url};
use crate::proxy::Proxy;
use longhaul_adapters::postgres::{PostgresOptions, PostgresStore};
use longhaul_adapters::rows::LeaseTerms;
use longhaul_ports::Store;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::store::{GRACE, LEASE};
use longhaul_testkit::suite::{ConnectionCut, RestoreFixture, StoreFixture};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

impl Server {
    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresOptions::at(self.url())
    }

    /// Executes statements with `psql`.
    pub(crate) fn execute(&self, statements: &str) {
        execute(self.directory(), statements);
    }
}

/// Executes statements with `psql` on the server of a directory.
fn execute(directory: &Path, statements: &str) {
    let output = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "longhaul", "-d", "postgres", "-h"])
        .arg(directory)
        .args(["-c", statements])
        .output()
        .expect("psql comes with postgres");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Shell script that runs a server until no test has locked a file for a few seconds, and then deletes the directory of
/// the server. The server itself must not inherit the descriptor of the lock.
const UNTIL_UNUSED: &str = "lock=$1 directory=$2; shift 2; \"$@\" & exec 9>>\"$lock\"; \
    while sleep 3; do flock --nonblock 9 || continue; kill -s QUIT $!; wait; rm -rf \"$directory\"; exit; done";

/// Returns the directory of a server that all tests share, also those of other test programs. It starts with the first
/// test, and stops after the last one.
fn shared_server() -> &'static Path {
    static SERVER: OnceLock<(PathBuf, File, Option<Child>)> = OnceLock::new();
    let (directory, ..) = SERVER.get_or_init(|| {
        let programs = programs();
        let directory = permanent_path(&programs, "server");
        let lock_path = permanent_path(&programs, "server-lock");
        let lock = File::options().create(true).append(true).open(&lock_path).unwrap();
        let mut process = None;
        loop {
            flock(&lock, FlockOperation::LockShared).unwrap();
            if is_ready(&directory) {
                return (directory, lock, process);
            }
            // Locks again from the start, because the server may stop between the two locks.
            flock(&lock, FlockOperation::LockExclusive).unwrap();
            if !is_ready(&directory) {
                process = Some(start_shared(&programs, &directory, &lock_path));
            }
        }
    });
    directory
}

fn start_shared(programs: &Path, directory: &Path, lock: &Path) -> Child {
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir(directory).unwrap();
    fill(programs, directory);
    let mut server = command(programs, directory);
    server.args(["-c", "max_connections=500"]);
    // The session of its own keeps the server alive if the runner kills the group of the test that started it.
    let mut watched = Command::new("setsid");
    watched.args(["sh", "-c", UNTIL_UNUSED, "sh"]).args([lock, directory]);
    watched.arg(server.get_program()).args(server.get_args()).stdin(Stdio::null());
    started(watched, directory)
}

/// Returns the options of an empty store in a new schema of the shared server.
fn new_schema(leases: Option<LeaseTerms>, clock: &VirtualClock) -> (String, PostgresOptions) {
    let schema = format!("s{}", uuid::Uuid::new_v4().simple());
    let url = format!("{}&schema={schema}", url(shared_server()));
    (schema, PostgresOptions { leases, clock: Some(Arc::new(clock.clone())), ..PostgresOptions::at(url) })
}

/// Returns a fixture with an empty store that uses this clock.
pub(crate) async fn world(clock: VirtualClock) -> StoreFixture {
    with_leases(None, clock).await
}

/// Returns a fixture as [`world`] does, but with the lease times of the lease test suite.
pub(crate) async fn leased_world(clock: VirtualClock) -> StoreFixture {
    with_leases(Some(LeaseTerms { lease: LEASE, grace: GRACE }), clock).await
}

/// Returns a fixture as [`leased_world`] does, but with data that the test can delete.
pub(crate) async fn restoring_world(clock: VirtualClock) -> RestoreFixture {
    let leases = Some(LeaseTerms { lease: LEASE, grace: GRACE });
    let (schema, options) = new_schema(leases, &clock);
    let store = PostgresStore::open(options).await.unwrap();
    let delete = format!("SET client_min_messages = error; DROP SCHEMA {schema} CASCADE");
    RestoreFixture::new(Arc::new(store), clock, move || execute(shared_server(), &delete))
}

/// Returns a fixture with a proxy. The proxy can lose a commit, or the reply to a commit.
pub(crate) async fn cut_world(clock: VirtualClock) -> StoreFixture {
    let entrance = tempfile::Builder::new().prefix("longhaul-pg-").tempdir().unwrap();
    let proxy = Proxy::before(&shared_server().join(SOCKET), &entrance.path().join(SOCKET));
    let (schema, options) = new_schema(None, &clock);
    let url = format!("{}&schema={schema}", url(entrance.path()));
    let options = PostgresOptions { clock: options.clock, ..PostgresOptions::at(url) };
    let store = PostgresStore::open(options).await.unwrap();
    let cut = move |at| match at {
        ConnectionCut::BeforeCommit => proxy.lose_next_commit(),
        ConnectionCut::AfterCommit => {
            assert_eq!(proxy.lost(), 1, "the cut before the commit met a write");
            proxy.lose_next_answer();
        }
    };
    StoreFixture::new(Arc::new(store), clock).with_cut(cut).guarded(entrance)
}

async fn with_leases(leases: Option<LeaseTerms>, clock: VirtualClock) -> StoreFixture {
    let (_, options) = new_schema(leases, &clock);
    let open = move || {
        let options = options.clone();
        async move { Arc::new(PostgresStore::open(options).await.unwrap()) as Arc<dyn Store> }
    };
    let store = open().await;
    StoreFixture::new(store, clock).with_another(open.clone()).with_reopening(open)
}
