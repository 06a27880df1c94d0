//! Tests of starts while a resource, such as disk space or descriptors, is exhausted.

use crate::bench::{Bench, by_user, code, key, until};
use longhaul_adapters::os::{OsOptions, OsSpawner};
use longhaul_domain::Observation;
use longhaul_ports::Spawner;
use longhaul_shim::ShimMessage;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

const DISK_FULL: i32 = 28;
const NO_SUCH_FILE: i32 = 2;

/// Script of a shim that refuses every launch while the file `full` exists. Each refused launch leaves an output file.
struct Refusing {
    full: PathBuf,
    tries: PathBuf,
}

impl Refusing {
    fn set_up(bench: &mut Bench, errno: i32) -> Self {
        let options = bench.options();
        let path = |name: &str| bench.path().join(name);
        let (full, tries, notice, shim) =
            (path("full"), path("tries"), path("notice"), path("refusing-shim"));
        let refused = ShimMessage::Refused { why: "no room".to_owned(), errno: Some(errno) };
        std::fs::write(&notice, refused.encode()).unwrap();
        std::fs::write(&full, "").unwrap();
        let script = format!(
            "#!/bin/sh\nif [ -e {full} ]; then : > $2/output.log; /bin/cat {notice} >&0; echo x >> {tries}; exit 3; \
             fi\nexec {real} \"$@\"\n",
            full = full.display(),
            notice = notice.display(),
            tries = tries.display(),
            real = options.shim.display()
        );
        std::fs::write(&shim, script).unwrap();
        std::fs::set_permissions(&shim, std::fs::Permissions::from_mode(0o755)).unwrap();
        bench.spawner = OsSpawner::open(OsOptions { shim, ..options }).unwrap();
        Self { full, tries }
    }

    async fn tried(&self, times: usize) {
        let tries = || std::fs::read_to_string(&self.tries).map_or(0, |text| text.lines().count());
        until(async || tries() >= times).await;
    }
}

#[tokio::test]
async fn the_start_of_a_shim_without_disk_space_is_retried_until_there_is_space() {
    let mut bench = Bench::new();
    let refusing = Refusing::set_up(&mut bench, DISK_FULL);
    bench.start(key(1), "echo ran; exit 4").await;
    refusing.tried(3).await;
    std::fs::remove_file(&refusing.full).unwrap();
    bench.spawned().await;
    assert_eq!(code(&bench.exited().await), 4);
    assert_eq!(bench.text(key(1)).await, "ran\n");
}

#[tokio::test]
async fn a_stop_ends_a_start_that_waits_for_disk_space() {
    let mut bench = Bench::new();
    let refusing = Refusing::set_up(&mut bench, DISK_FULL);
    bench.start(key(1), "exit 4").await;
    refusing.tried(2).await;
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    assert_eq!(bench.next().await, Observation::NeverRan { attempt: key(1).attempt });
    bench.spawner.end_recorded(key(1)).await;
    std::fs::remove_file(&refusing.full).unwrap();
    bench.next_life();
    let found = bench.adopt(key(1)).await.unwrap();
    assert!(matches!(found, longhaul_ports::Adopted::Over(Observation::NeverRan { .. })), "{found:?}");
}

#[tokio::test]
async fn a_refusal_for_another_reason_fails_the_start() {
    let mut bench = Bench::new();
    let _refusing = Refusing::set_up(&mut bench, NO_SUCH_FILE);
    bench.start(key(1), "exit 4").await;
    match bench.next().await {
        Observation::SpawnFailed { failure, .. } => {
            assert!(failure.detail.contains("no room"), "{failure:?}")
        }
        other => panic!("{other:?}"),
    }
}

/// This test changes a limit of the whole program, so it runs only if no other test runs in the program.
#[tokio::test]
async fn a_start_without_descriptors_waits_for_some() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if std::env::var("NEXTEST_EXECUTION_MODE").as_deref() != Ok("process-per-test") {
        eprintln!("SKIPPED: other tests run in this program");
        return;
    }
    let bench = Bench::new();
    let before = getrlimit(Resource::Nofile);
    let order = bench.order(key(1), "exit 4");
    setrlimit(Resource::Nofile, Rlimit { current: Some(4), maximum: before.maximum }).unwrap();
    bench.spawner.start(order).await.unwrap();
    setrlimit(Resource::Nofile, before).unwrap();
    bench.spawned().await;
    assert_eq!(code(&bench.exited().await), 4);
}

#[tokio::test]
async fn a_command_gets_the_limit_of_open_files_that_the_options_name() {
    let mut bench = Bench::new();
    let options = OsOptions { open_files: Some(123), ..bench.options() };
    bench.spawner = OsSpawner::open(options).unwrap();
    bench.start(key(1), "ulimit -Sn; ulimit -Hn").await;
    bench.spawned().await;
    bench.exited().await;
    let text = bench.text(key(1)).await;
    assert!(text.starts_with("123\n") && text != "123\n123\n", "{text}");
}
