//! A separate Redis server for each test, in a temporary directory and on a Unix socket.

use crate::proxy::Proxy;
use longhaul_adapters::redis::{Durability, LeaseTimes, RedisOptions, RedisStore};
use longhaul_ports::{Store, StoreError};
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::store::{GRACE, LEASE};
use longhaul_testkit::suite::{ConnectionCut, RestoreFixture, StoreFixture};
use std::future::Future;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Handle;

const PROGRAM: &str = "redis-server";
const TIMEOUT: Duration = Duration::from_secs(10);

/// A server that is killed at the end of the test.
pub(crate) struct Server {
    process: Child,
    settings: Vec<String>,
    directory: TempDir,
}

impl Server {
    /// Starts a server that stores nothing on disk.
    pub(crate) fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    pub(crate) fn with(settings: &[&str]) -> Self {
        Self::configured("", settings)
    }

    /// Starts a server with a configuration file. The settings on the command line override the file.
    pub(crate) fn configured(file: &str, settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("settings"), file).unwrap();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let process = run(directory.path(), &settings);
        Self { process, settings, directory }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Returns options with durability `cache`, for tests that do not depend on the disk.
    pub(crate) fn options(&self) -> RedisOptions {
        RedisOptions { durability: Durability::Cache, ..RedisOptions::at(self.url()) }
    }

    /// Kills the server. All data that is not on the disk is lost.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the killed server again with the data on its disk.
    pub(crate) fn restart(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        self.process = run(self.directory.path(), &self.settings);
    }

    /// Makes a backup of the files of the server.
    pub(crate) fn save_files(&self) {
        self.copy_files("appendonlydir", "aside");
    }

    /// Restores the backup of the files. The server must not be running.
    pub(crate) fn restore_files(&self) {
        std::fs::remove_dir_all(self.directory.path().join("appendonlydir")).unwrap();
        self.copy_files("aside", "appendonlydir");
    }

    fn copy_files(&self, from: &str, to: &str) {
        let [from, to] = [from, to].map(|name| self.directory.path().join(name));
        std::fs::create_dir_all(&to).unwrap();
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }

    /// Suspends the server process.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Resumes the suspended server process.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Executes a command with `redis-cli` and returns the reply as text.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .args(command)
            .output()
            .expect("redis-cli comes with redis-server");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(directory: &Path, settings: &[String]) -> Child {
    let socket = directory.join("socket");
    let log = directory.join("log");
    let started = Command::new(PROGRAM)
        .current_dir(directory)
        .arg(directory.join("settings"))
        .args(["--port", "0", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(directory)
        .arg("--logfile")
        .arg(&log)
        .args(settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut process = match started {
        Ok(process) => process,
        Err(error) => absent(&error.to_string()),
    };
    let begun = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        let exited = process.try_wait().unwrap();
        assert!(
            exited.is_none() && begun.elapsed() < TIMEOUT,
            "the server does not start ({exited:?}): {}",
            std::fs::read_to_string(&log).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    process
}

/// Ends the test program without a failure because `redis-server` is not available. In CI, the test fails.
fn absent(why: &str) -> ! {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{PROGRAM} cannot be started: {why}");
    eprintln!("ignored: {PROGRAM} cannot be started: {why} (Debian: apt-get install redis-server)");
    std::process::exit(0)
}

/// Returns a fixture with an empty store that uses this clock.
pub(crate) async fn world(clock: VirtualClock) -> StoreFixture {
    with_leases(None, clock).await
}

/// Returns a fixture as [`world`] does, but with the lease times of the lease test suite.
pub(crate) async fn leased_world(clock: VirtualClock) -> StoreFixture {
    with_leases(Some(LeaseTimes { lease: LEASE, grace: GRACE }), clock).await
}

/// Returns a fixture as [`leased_world`] does, but with a server whose data the test can delete.
pub(crate) async fn restoring_world(clock: VirtualClock) -> RestoreFixture {
    let server = Arc::new(Server::start());
    let leases = Some(LeaseTimes { lease: LEASE, grace: GRACE });
    let options = RedisOptions { leases, clock: Some(Arc::new(clock.clone())), ..server.options() };
    let store = RedisStore::open(options).await.unwrap();
    let emptied = server.clone();
    let empty = move || assert_eq!(emptied.ask(&["FLUSHALL"]), "OK");
    RestoreFixture::new(Arc::new(store), clock, empty).guarded(server)
}

/// Returns a fixture with a proxy. The proxy can lose a write before its commit, or the reply after its commit.
pub(crate) async fn cut_world(clock: VirtualClock) -> StoreFixture {
    let server = Server::start();
    let proxy = Proxy::before(&server.socket(), &server.directory().join("proxy"));
    let options = RedisOptions {
        url: format!("redis+unix://{}", proxy.socket().display()),
        clock: Some(Arc::new(clock.clone())),
        ..server.options()
    };
    let store = RedisStore::open(options).await.unwrap();
    let cut = move |at| match at {
        ConnectionCut::BeforeCommit => proxy.lose_next_question(),
        ConnectionCut::AfterCommit => {
            assert_eq!(proxy.lost(), 1, "the cut before the commit met a write");
            proxy.lose_answers_after(0);
        }
    };
    StoreFixture::new(Arc::new(store), clock).with_cut(cut).guarded(server)
}

async fn with_leases(leases: Option<LeaseTimes>, clock: VirtualClock) -> StoreFixture {
    let server = Server::start();
    let options = RedisOptions { leases, clock: Some(Arc::new(clock.clone())), ..server.options() };
    let open = move || {
        let options = options.clone();
        async move { Arc::new(RedisStore::open(options).await.unwrap()) as Arc<dyn Store> }
    };
    let store = open().await;
    StoreFixture::new(store, clock).with_another(open.clone()).with_reopening(open).guarded(server)
}

/// Blocks until a future is complete, in synchronous code that runs inside an async test.
pub(crate) fn now<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::task::block_in_place(|| Handle::current().block_on(future))
}

/// Returns the error of a call that must fail. Unlike `unwrap_err`, accepts results without `Debug`.
pub(crate) fn error_of<T>(answer: Result<T, StoreError>) -> StoreError {
    answer.err().expect("the call must fail")
}

/// Returns a port that is currently not in use.
pub(crate) fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

pub(crate) async fn wait_for(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the condition did not become true");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
