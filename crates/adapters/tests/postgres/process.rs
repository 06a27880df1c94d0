//! Processes of PostgreSQL servers that listen at a Unix socket.

use rustix::process::{Pid, Signal};
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Name of the socket file in its directory.
pub(crate) const SOCKET: &str = ".s.PGSQL.5432";
/// Users that may run a server if the test runs as root. A server refuses to run as root.
const USERS: [&str; 2] = ["postgres", "daemon"];

/// A server of one test, which stops at the end of the test.
pub(crate) struct Server {
    pub(crate) process: Child,
    directory: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[], &[])
    }

    /// Starts a server with additional settings, and with private files in its data directory, by name.
    pub(crate) fn with(settings: &[&str], files: &[(&str, &str)]) -> Self {
        let programs = programs();
        let directory = data_directory(&programs);
        for (name, content) in files {
            let path = directory.path().join("data").join(name);
            std::fs::write(&path, content).unwrap();
            give_away(&path, 0o600);
        }
        let mut command = command(&programs, directory.path());
        command.args(settings.iter().flat_map(|setting| ["-c", setting])).stdin(Stdio::null());
        let process = started(command, directory.path());
        Self { process, directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn url(&self) -> String {
        url(self.directory())
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
pub(crate) fn programs() -> PathBuf {
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

/// Makes the user of the server the owner of a file or directory with this mode.
fn give_away(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    if let Some(user) = user() {
        let owner = Command::new("chown").arg(user).arg(path).status().unwrap();
        assert!(owner.success(), "{} gets another owner", path.display());
    }
}

/// Returns a path in the temporary directory that all tests of this user with this version of the server know.
pub(crate) fn permanent_path(programs: &Path, name: &str) -> PathBuf {
    let version = Command::new(programs.join("postgres")).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let me = rustix::process::geteuid().as_raw();
    std::env::temp_dir().join(format!("longhaul-{name}-{version}-{me}"))
}

/// Returns a data directory to copy. Creates it if this is the first test on this machine.
fn template(programs: &Path) -> PathBuf {
    let template = permanent_path(programs, "template");
    if template.exists() {
        return template;
    }
    let draft = tempfile::Builder::new().prefix("longhaul-pg-").tempdir().unwrap();
    give_away(draft.path(), 0o755);
    let data = draft.path().join("data");
    let created = as_user(&programs.join("initdb"))
        .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username=longhaul"])
        .args(["--wal-segsize=1", "-D"])
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
    fill(programs, directory.path());
    directory
}

/// Copies the template into the directory of a server.
pub(crate) fn fill(programs: &Path, directory: &Path) {
    // All users may connect to the socket in the directory.
    give_away(directory, 0o755);
    let data = directory.join("data");
    let copied = Command::new("cp").arg("-a").arg(template(programs)).arg(data).status();
    assert!(copied.unwrap().success(), "the data directory is copied");
}

fn run(programs: &Path, directory: &Path) -> Child {
    let mut command = command(programs, directory);
    command.stdin(Stdio::null());
    started(command, directory)
}

pub(crate) fn command(programs: &Path, directory: &Path) -> Command {
    let mut command = as_user(&programs.join("postgres"));
    command.arg("-D").arg(directory.join("data")).arg("-k").arg(directory);
    command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]);
    command
}

pub(crate) fn started(mut command: Command, directory: &Path) -> Child {
    let log = directory.join("log");
    let _ = std::fs::remove_file(directory.join(SOCKET));
    let process = command.current_dir("/").stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn();
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
pub(crate) fn is_ready(directory: &Path) -> bool {
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
