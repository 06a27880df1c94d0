//! A separate PostgreSQL server for each test, in a temporary directory and on a Unix socket.

use crate::proxy::Proxy;
use longhaul_adapters::postgres::{PostgresOptions, PostgresStore};
use longhaul_adapters::rows::LeaseTerms;
use longhaul_ports::Store;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::store::{GRACE, LEASE};
use longhaul_testkit::suite::{ConnectionCut, RestoreFixture, StoreFixture};
use rustix::process::{Pid, Signal};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Name of the socket file in its directory.
const SOCKET: &str = ".s.PGSQL.5432";
/// Users that may run a server if the test runs as root. A server refuses to run as root.
const USERS: [&str; 2] = ["postgres", "daemon"];

/// A server that is stopped at the end of the test.
pub(crate) struct Server {
    process: Child,
    directory: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let programs = programs();
        let directory = data_directory(&programs);
        let process = run(&programs, directory.path());
        Self { process, directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn url(&self) -> String {
        url(self.directory())
    }

    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresOptions::at(self.url())
    }

    /// Kills the server and its workers at once. What was committed is on the disk.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::QUIT);
        self.process.wait().unwrap();
    }

    /// Starts the killed server again.
    pub(crate) fn restart(&mut self) {
        self.process = run(&programs(), self.directory.path());
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, signal);
    }

    /// Executes statements with `psql` and returns the output.
    pub(crate) fn ask(&self, statements: &str) -> String {
        let output = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "longhaul", "-d", "postgres", "-h"])
            .arg(self.directory())
            .args(["-c", statements])
            .output()
            .expect("psql comes with postgres");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::QUIT);
        let _ = self.process.wait();
    }
}

pub(crate) fn url(directory: &Path) -> String {
    format!("postgres://longhaul@/postgres?host={}", directory.display())
}

/// Returns the directory of the programs `initdb` and `postgres`.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.filter_map(|found| Some(found.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    versions.sort();
    places.extend(versions.into_iter().rev());
    let complete = |place: &PathBuf| place.join("initdb").exists() && place.join("postgres").exists();
    places.into_iter().find(complete).unwrap_or_else(|| absent("initdb and postgres are not installed"))
}

/// Returns a command that runs as a plain user.
fn as_user(program: &Path) -> Command {
    let Some(user) = user() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={}", group_of(user)), "--clear-groups"]);
    command.arg(program);
    command
}

/// Returns the user that runs the server, or `None` if this is the user of the test.
fn user() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found =
        USERS.into_iter().find(|user| known.lines().any(|line| line.starts_with(&format!("{user}:"))));
    Some(found.unwrap_or_else(|| absent("no user exists that may run it")))
}

fn group_of(user: &str) -> String {
    let known = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = known.lines().find(|line| line.starts_with(&format!("{user}:"))).unwrap();
    line.split(':').nth(3).unwrap().to_owned()
}

/// Makes the user of the server the owner of a directory.
fn give_away(directory: &Path) {
    if let Some(user) = user() {
        let owner = Command::new("chown").arg(user).arg(directory).status().unwrap();
        assert!(owner.success(), "the directory gets another owner");
    }
}

/// Returns a data directory to copy. Creates it if this is the first test on this machine.
fn template(programs: &Path) -> PathBuf {
    let version = Command::new(programs.join("postgres")).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let me = rustix::process::geteuid().as_raw();
    let template = std::env::temp_dir().join(format!("longhaul-template-{version}-{me}"));
    if template.exists() {
        return template;
    }
    let draft = tempfile::Builder::new().prefix("longhaul-pg-").tempdir().unwrap();
    give_away(draft.path());
    let data = draft.path().join("data");
    let created = as_user(&programs.join("initdb"))
        .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username=longhaul", "-D"])
        .arg(&data)
        .current_dir("/")
        .output();
    let created = created.unwrap_or_else(|error| absent(&error.to_string()));
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    // Another test may have created the template meanwhile.
    if std::fs::rename(&data, &template).is_err() {
        assert!(template.exists(), "the template is created");
    }
    template
}

/// Returns a new directory that contains the data directory of a server.
fn data_directory(programs: &Path) -> TempDir {
    let directory = tempfile::Builder::new().prefix("longhaul-pg-").tempdir().unwrap();
    give_away(directory.path());
    let data = directory.path().join("data");
    let copied = Command::new("cp").arg("-a").arg(template(programs)).arg(data).status();
    assert!(copied.unwrap().success(), "the data directory is copied");
    directory
}

fn run(programs: &Path, directory: &Path) -> Child {
    let mut command = command(programs, directory);
    command.stdin(Stdio::null());
    started(command, directory)
}

fn command(programs: &Path, directory: &Path) -> Command {
    let mut command = as_user(&programs.join("postgres"));
    command.arg("-D").arg(directory.join("data")).arg("-k").arg(directory);
    command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]);
    command
}

fn started(mut command: Command, directory: &Path) -> Child {
    let log = directory.join("log");
    let _ = std::fs::remove_file(directory.join(SOCKET));
    let process =
        command.current_dir("/").stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn();
    let mut process = process.unwrap_or_else(|error| absent(&error.to_string()));
    let begun = Instant::now();
    while !is_ready(directory) {
        let exited = process.try_wait().unwrap();
        assert!(
            exited.is_none() && begun.elapsed() < TIMEOUT,
            "the server does not start ({exited:?}): {}",
            std::fs::read_to_string(&log).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    process
}

/// Returns true if the server accepts connections. The last line of its `postmaster.pid` then says so.
fn is_ready(directory: &Path) -> bool {
    let state = std::fs::read_to_string(directory.join("data/postmaster.pid")).unwrap_or_default();
    state.lines().last().is_some_and(|line| line.trim() == "ready")
        && UnixStream::connect(directory.join(SOCKET)).is_ok()
}

/// Ends the test program without a failure because PostgreSQL is not available. In CI, the test fails.
fn absent(why: &str) -> ! {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "PostgreSQL cannot be started: {why}");
    eprintln!("ignored: PostgreSQL cannot be started: {why} (Debian: apt-get install postgresql)");
    std::process::exit(0)
}

/// Shell script that runs a server until its input ends, and then deletes the directory of the server.
const UNTIL_END_OF_INPUT: &str =
    "directory=$1; shift; \"$@\" & read -r line; kill -s QUIT $!; wait; rm -rf \"$directory\"";

/// Returns a fixture with an empty store, in a new schema of one server. The server ends with the test program.
pub(crate) async fn world_on_one_server(clock: VirtualClock) -> StoreFixture {
    static SERVER: OnceLock<(PathBuf, Child)> = OnceLock::new();
    static SCHEMAS: AtomicUsize = AtomicUsize::new(0);
    let (directory, _) = SERVER.get_or_init(|| {
        let programs = programs();
        let directory = data_directory(&programs).keep();
        let server = command(&programs, &directory);
        let mut watched = Command::new("sh");
        watched.args(["-c", UNTIL_END_OF_INPUT, "sh"]).arg(&directory).arg(server.get_program());
        watched.args(server.get_args()).stdin(Stdio::piped());
        let process = started(watched, &directory);
        (directory, process)
    });
    let url = format!("{}&schema=s{}", url(directory), SCHEMAS.fetch_add(1, Ordering::Relaxed));
    let options = PostgresOptions { clock: Some(Arc::new(clock.clone())), ..PostgresOptions::at(url) };
    StoreFixture::new(Arc::new(PostgresStore::open(options).await.unwrap()), clock)
}

/// Returns a fixture with an empty store that uses this clock.
pub(crate) async fn world(clock: VirtualClock) -> StoreFixture {
    with_leases(None, clock).await
}

/// Returns a fixture as [`world`] does, but with the lease times of the lease test suite.
pub(crate) async fn leased_world(clock: VirtualClock) -> StoreFixture {
    with_leases(Some(LeaseTerms { lease: LEASE, grace: GRACE }), clock).await
}

/// Returns a fixture as [`leased_world`] does, but with a server whose data the test can delete.
pub(crate) async fn restoring_world(clock: VirtualClock) -> RestoreFixture {
    let server = Arc::new(Server::start());
    let leases = Some(LeaseTerms { lease: LEASE, grace: GRACE });
    let options = PostgresOptions { leases, clock: Some(Arc::new(clock.clone())), ..server.options() };
    let store = PostgresStore::open(options).await.unwrap();
    let emptied = Arc::clone(&server);
    let empty = move || drop(emptied.ask("SET client_min_messages = error; DROP SCHEMA longhaul CASCADE"));
    RestoreFixture::new(Arc::new(store), clock, empty).guarded(server)
}

/// Returns a fixture with a proxy. The proxy can lose a commit, or the reply to a commit.
pub(crate) async fn cut_world(clock: VirtualClock) -> StoreFixture {
    let server = Server::start();
    let entrance = server.directory().join("entrance");
    std::fs::create_dir(&entrance).unwrap();
    let proxy = Proxy::before(&server.directory().join(SOCKET), &entrance.join(SOCKET));
    let options =
        PostgresOptions { clock: Some(Arc::new(clock.clone())), ..PostgresOptions::at(url(&entrance)) };
    let store = PostgresStore::open(options).await.unwrap();
    let cut = move |at| match at {
        ConnectionCut::BeforeCommit => proxy.lose_next_commit(),
        ConnectionCut::AfterCommit => {
            assert_eq!(proxy.lost(), 1, "the cut before the commit met a write");
            proxy.lose_next_answer();
        }
    };
    StoreFixture::new(Arc::new(store), clock).with_cut(cut).guarded(server)
}

async fn with_leases(leases: Option<LeaseTerms>, clock: VirtualClock) -> StoreFixture {
    let server = Server::start();
    let options = PostgresOptions { leases, clock: Some(Arc::new(clock.clone())), ..server.options() };
    let open = move || {
        let options = options.clone();
        async move { Arc::new(PostgresStore::open(options).await.unwrap()) as Arc<dyn Store> }
    };
    let store = open().await;
    StoreFixture::new(store, clock).with_another(open.clone()).with_reopening(open).guarded(server)
}
