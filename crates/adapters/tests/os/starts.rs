//! Tests of starting commands.

use crate::bench::{Bench, code, key, state, until};
use longhaul_adapters::os::ContainmentChoice;
use longhaul_domain::{CommandSpec, Containment, Observation, StartStage};
use longhaul_ports::{SpawnError, Spawner, StartRequest};

#[tokio::test]
async fn the_exit_code_and_the_complete_output_of_a_command_are_recorded() {
    let bench = Bench::new();
    bench.start(key(1), "echo out; echo err >&2; echo $LONGHAUL_ID $LONGHAUL_ATTEMPT; exit 3").await;
    assert!(bench.spawned().await > 1);
    let exit = bench.exited().await;
    assert_eq!(code(&exit), 3);
    let text = bench.text(key(1)).await;
    assert!(text.contains("out\n") && text.contains("err\n"));
    assert!(text.contains(&format!("{} 1\n", key(1).id)), "{text}");
    assert_eq!(exit.output_bytes, text.len() as u64);
}

#[tokio::test]
async fn a_repeated_start_runs_and_is_reported_only_once() {
    let bench = Bench::new();
    let order = bench.order(key(1), "echo ran >> ran; exit 4");
    let (first, second) =
        tokio::join!(bench.spawner.start(order.clone()), bench.spawner.start(order.clone()));
    first.unwrap();
    second.unwrap();
    bench.spawned().await;
    bench.spawner.start(order).await.unwrap();
    assert_eq!(code(&bench.exited().await), 4);
    assert_eq!(std::fs::read_to_string(bench.path().join("ran")).unwrap(), "ran\n");
}

#[tokio::test]
async fn a_repeated_start_by_the_next_manager_returns_the_state_of_the_attempt() {
    let mut bench = Bench::new();
    let order = bench.order(key(1), "echo ran >> ran; exit 4");
    bench.spawner.start(order.clone()).await.unwrap();
    bench.spawned().await;
    bench.exited().await;
    bench.next_life();
    bench.spawner.start(order).await.unwrap();
    bench.spawned().await;
    assert_eq!(code(&bench.exited().await), 4);
    assert_eq!(std::fs::read_to_string(bench.path().join("ran")).unwrap(), "ran\n");
}

#[tokio::test]
async fn a_missing_program_is_refused_and_names_the_nearest() {
    let bench = Bench::new();
    let mut order = bench.order(key(1), "");
    order.command = CommandSpec::of("slep", &[], "/");
    let Err(SpawnError::Refused { failure }) = bench.spawner.start(order).await else {
        panic!("the command was started");
    };
    assert_eq!(failure.stage, StartStage::Program);
    assert!(failure.detail.ends_with("nearest: sleep"), "{}", failure.detail);
    assert!(!bench.attempt(key(1)).exists());
    let unknown = bench.spawner.stop(key(1), crate::bench::by_user(false)).await;
    assert!(matches!(unknown, Err(SpawnError::Unknown { .. })));
}

#[tokio::test]
async fn a_file_that_the_kernel_cannot_execute_fails_its_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    let script = bench.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut order = bench.order(key(1), "");
    order.command = CommandSpec::of(script.to_str().unwrap(), &[], "/");
    bench.spawner.start(order).await.unwrap();
    match bench.next().await {
        Observation::SpawnFailed { failure, .. } => {
            assert_eq!((failure.stage, failure.errno), (StartStage::Exec, Some(2)));
            assert!(failure.detail.contains("interpreter"), "{}", failure.detail);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_missing_shim_refuses_the_start_and_leaves_nothing() {
    let bench = Bench::new();
    let options = longhaul_adapters::os::OsOptions {
        attempts_dir: bench.path().join("attempts"),
        shim: "/no/such/shim".into(),
        anchor_ms: 0,
        boot_id: "b".to_owned(),
        containment: ContainmentChoice::Subreaper,
        adopt_orphans: false,
        open_files: None,
    };
    let spawner = longhaul_adapters::os::OsSpawner::open(options).unwrap();
    let refused = spawner.start(bench.order(key(1), "true")).await;
    let Err(SpawnError::Refused { failure }) = refused else { panic!("{refused:?}") };
    assert_eq!(failure.stage, StartStage::Supervisor);
    assert!(failure.detail.contains("/no/such/shim"));
    assert!(!bench.attempt(key(1)).exists());
}

#[tokio::test]
async fn a_settled_end_lets_the_shim_go_and_leaves_no_zombie() {
    let bench = Bench::new();
    bench.start(key(1), "exit 0").await;
    bench.spawned().await;
    let shim = bench.identity(key(1)).shim_pid;
    bench.exited().await;
    bench.spawner.end_recorded(key(1)).await;
    until(async || state(shim).is_none()).await;
}

#[tokio::test]
async fn an_end_that_is_never_settled_leaves_no_zombie_either() {
    let bench = Bench::new();
    bench.start(key(1), "exit 0").await;
    bench.spawned().await;
    let shim = bench.identity(key(1)).shim_pid;
    bench.exited().await;
    until(async || state(shim).is_none()).await;
}

#[tokio::test]
async fn a_control_group_contains_a_command_where_there_can_be_one() {
    let bench = Bench::with(ContainmentChoice::Auto);
    let mut order: StartRequest = bench.order(key(1), "read line; exit 0");
    order.command.stdin = longhaul_domain::Stdin::Null;
    bench.spawner.start(order).await.unwrap();
    match bench.next().await {
        Observation::Spawned { containment: Some(Containment::Cgroup), .. } => {
            bench.exited().await;
            let cgroup = bench.identity(key(1)).cgroup.unwrap();
            bench.spawner.end_recorded(key(1)).await;
            until(async || !cgroup.exists()).await;
        }
        Observation::Spawned { containment, .. } => {
            eprintln!("SKIPPED: control groups cannot be used here, contained by {containment:?}");
        }
        other => panic!("{other:?}"),
    }
}
