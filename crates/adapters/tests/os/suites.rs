//! The contract test suites of spawners and output logs, run on this machine.

use crate::bench::{Bench, options};
use async_trait::async_trait;
use longhaul_adapters::os::{ContainmentChoice, OsOutput, OsSpawner, OsTestFiles};
use longhaul_adapters::system::SystemClock;
use longhaul_domain::{CommandSpec, Stdin, StopPolicy};
use longhaul_ports::{AttemptKey, Clock, OutputSource, Spawner, TestFiles};
use longhaul_shim::{IndexEntry, PROGRESS, StreamId};
use longhaul_testkit::suite::{
    OutputFeed, OutputFixture, SpawnerFixture, TestCommands, TestFileFeed, TestFilesFixture,
};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Number of SIGWINCH, which is ignored by default. A command with this stop signal ignores stop requests from its
/// start.
const IGNORED: u8 = 28;

mod spawner_by_subreaper {
    use super::*;

    longhaul_testkit::spawner_suite!(|| open(ContainmentChoice::Subreaper));
}

mod spawner_by_what_there_is {
    use super::*;

    longhaul_testkit::spawner_suite!(|| open(ContainmentChoice::Auto));
}

mod output {
    use super::*;

    longhaul_testkit::output_suite!(|| {
        let directory = tempfile::tempdir().unwrap();
        let attempts = directory.path().join("attempts");
        let output = OsOutput::open(&attempts).unwrap();
        let clock = SystemClock::open(directory.path()).unwrap();
        OutputFixture::new(Arc::new(output), Arc::new(Files { attempts, clock })).guarded(directory)
    });
}

mod test_files {
    use super::*;

    /// Attempt directories and a working directory below one path.
    #[derive(Debug)]
    struct Directories(PathBuf);

    impl Directories {
        fn attempt(&self, key: AttemptKey) -> PathBuf {
            self.0.join("attempts").join(key.id.to_string()).join(key.attempt.to_string())
        }
    }

    #[async_trait]
    impl TestFileFeed for Directories {
        async fn start(&self, key: AttemptKey) {
            std::fs::create_dir_all(self.attempt(key)).unwrap();
        }

        async fn append(&self, key: AttemptKey, name: &str, bytes: &[u8]) {
            let path = self.attempt(key).join(name);
            let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.write_all(bytes).unwrap();
        }

        async fn write_report(&self, path: &str, bytes: &[u8]) {
            std::fs::create_dir_all(self.0.join("work")).unwrap();
            std::fs::write(self.0.join("work").join(path), bytes).unwrap();
        }

        fn directory(&self) -> String {
            self.0.join("work").to_str().unwrap().to_owned()
        }
    }

    longhaul_testkit::test_files_suite!(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let files = OsTestFiles::open(&path.join("attempts")).unwrap();
        TestFilesFixture::new(Arc::new(files), Arc::new(Directories(path))).guarded(directory)
    });

    #[tokio::test]
    async fn file_that_a_command_replaced_by_a_link_or_a_pipe_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let files = OsTestFiles::open(&directory.path().join("attempts")).unwrap();
        let directories = Directories(directory.path().to_owned());
        let key = crate::bench::key(1);
        directories.start(key).await;
        let secret = directory.path().join("secret");
        std::fs::write(&secret, "hunter2").unwrap();
        std::os::unix::fs::symlink(&secret, directories.attempt(key).join("link")).unwrap();
        assert!(files.read(key, "link", 0, 10).await.is_err());
        assert!(files.write(key, "link", 0, b"x".to_vec()).await.is_err());
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "hunter2");
        let pipe = directories.attempt(key).join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(files.read(key, "pipe", 0, 10).await.is_err());
    }
}

fn open(containment: ContainmentChoice) -> SpawnerFixture {
    let directory = tempfile::tempdir().unwrap();
    let clock = SystemClock::open(directory.path()).unwrap();
    let path = directory.path().to_owned();
    SpawnerFixture::new(Arc::new(Shell { path, clock, containment })).guarded(directory)
}

/// Commands that the test suite of spawners runs.
#[derive(Debug)]
struct Shell {
    path: PathBuf,
    clock: SystemClock,
    containment: ContainmentChoice,
}

#[async_trait]
impl TestCommands for Shell {
    fn exits(&self, after: Duration, code: u8) -> CommandSpec {
        let script = format!("sleep {}; exit {code}", after.as_secs_f64());
        CommandSpec::of("sh", &["-c", &script], "/")
    }

    fn runs(&self) -> CommandSpec {
        CommandSpec::of("sleep", &["3600"], "/")
    }

    fn ignores_term(&self) -> Option<CommandSpec> {
        let stop = StopPolicy { signal: IGNORED, ..StopPolicy::default() };
        Some(CommandSpec { stop, ..self.runs() })
    }

    fn missing(&self) -> CommandSpec {
        CommandSpec::of("no-such-program", &[], "/")
    }

    fn echoes(&self) -> Option<CommandSpec> {
        Some(CommandSpec { stdin: Stdin::Pipe, ..CommandSpec::of("cat", &[], "/") })
    }

    fn asks(&self) -> Option<CommandSpec> {
        let script = "read line; exec sleep 3600";
        Some(CommandSpec { stdin: Stdin::Pipe, ..CommandSpec::of("sh", &["-c", script], "/") })
    }

    fn listens(&self) -> Option<(CommandSpec, u16)> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = format!("import socket; socket.create_server((\"127.0.0.1\", {port})).accept()");
        Some((CommandSpec::of("python3", &["-c", &script], "/"), port))
    }

    async fn pass(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    async fn reopen(&self) -> Arc<dyn Spawner> {
        Arc::new(OsSpawner::open(options(&self.path, &self.clock, self.containment)).unwrap())
    }
}

/// Writes the files of an attempt, as a shim does.
#[derive(Debug)]
struct Files {
    attempts: PathBuf,
    clock: SystemClock,
}

impl Files {
    /// Opens a file of an attempt for appending. Creates the file if it does not exist.
    fn open(&self, key: AttemptKey, name: &str) -> File {
        let directory = self.attempts.join(key.id.to_string()).join(key.attempt.to_string());
        std::fs::create_dir_all(&directory).unwrap();
        OpenOptions::new().create(true).append(true).open(directory.join(name)).unwrap()
    }
}

#[async_trait]
impl OutputFeed for Files {
    async fn write(&self, key: AttemptKey, source: OutputSource, bytes: &[u8]) {
        let open = |name| self.open(key, name);
        let mut log = open("output.log");
        if !bytes.is_empty() {
            log.write_all(bytes).unwrap();
            let stream = match source {
                OutputSource::Stdout => StreamId::Stdout,
                OutputSource::Stderr => StreamId::Stderr,
            };
            let time = u64::try_from(self.clock.now().0).unwrap();
            let end = log.metadata().unwrap().len();
            // The index file is created with its first entry.
            open("output.idx").write_all(&IndexEntry { end, stream, time }.encode()).unwrap();
        }
    }

    async fn write_progress(&self, key: AttemptKey, bytes: &[u8]) -> bool {
        self.open(key, PROGRESS).write_all(bytes).unwrap();
        true
    }

    async fn pass(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// If control groups are available, all processes of a group are paused and cleaned up together.
#[tokio::test]
async fn a_control_group_takes_its_end_with_it() {
    use crate::bench::{by_user, key, state, until};
    let bench = Bench::with(ContainmentChoice::Auto);
    bench
        .start(key(1), "setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo $! ready; wait")
        .await;
    bench.spawned().await;
    bench.says(key(1), "ready").await;
    let Some(cgroup) = bench.identity(key(1)).cgroup else {
        eprintln!("SKIPPED: control groups cannot be used here");
        return;
    };
    let grandchild: u32 = bench.text(key(1)).await.split(' ').next().unwrap().parse().unwrap();
    bench.spawner.pause(key(1)).await.unwrap();
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    bench.exited().await;
    assert!(state(grandchild).is_none_or(|state| state == 'Z'));
    bench.spawner.end_recorded(key(1)).await;
    until(async || !cgroup.exists()).await;
}
