use crate::attention::adjusted;
use crate::world::{World, seconds};
use longhaul_domain::{AwakeTime, Condition, ProcessId, ReadyWhen, Spec, Status};
use longhaul_engine::ports::{Clock, OutputSource};
use longhaul_engine::{EngineError, WaitCondition, WaitMode};
use std::time::Duration;

fn asking(words: &str, ready_when: ReadyWhen) -> Spec {
    adjusted(words, |command| command.ready_when = Some(ready_when))
}

fn logging(pattern: &str) -> ReadyWhen {
    ReadyWhen::Log { pattern: pattern.to_owned() }
}

const URL: &str = "http://127.0.0.1:8080/health";

fn answering() -> ReadyWhen {
    ReadyWhen::Http { url: URL.to_owned() }
}

async fn is_ready(world: &World, id: ProcessId) -> bool {
    world.holds(id, Condition::Ready).await
}

#[tokio::test(start_paused = true)]
async fn a_command_is_ready_when_it_listens_and_reported_once() {
    let world = World::new().await;
    let id = world.launch_spec(asking("serve 8080 3000", ReadyWhen::Port(8080))).await;
    let other = world.launch_spec(asking("serve 8080", ReadyWhen::Port(8081))).await;
    world.pass(seconds(2)).await;
    assert!(!is_ready(&world, id).await);
    world.pass(seconds(2)).await;
    assert!(is_ready(&world, id).await);
    world.pass(seconds(100)).await;
    assert_eq!(world.told(id).await, ["+ready"]);
    assert_eq!(world.told(other).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_address_is_asked_soon_after_the_start_and_then_every_second() {
    let world = World::new().await;
    let began = world.clock.awake();
    let id = world.launch_spec(asking("run", answering())).await;
    world.pass(Duration::from_millis(4_500)).await;
    let asked: Vec<i64> =
        world.prober.asked().iter().map(|(AwakeTime(at), _)| at.saturating_sub(began.0)).collect();
    assert_eq!(asked, [50, 100, 200, 400, 1_400, 2_400, 3_400, 4_400]);
    world.prober.works(URL);
    world.pass(seconds(10)).await;
    assert!(is_ready(&world, id).await);
    assert_eq!(world.prober.asked().len(), 9, "no probe runs any more");
}

#[tokio::test(start_paused = true)]
async fn a_probe_command_runs_with_directory_and_environment_of_the_one_it_asks_about() {
    let world = World::new().await;
    let probe = ReadyWhen::Command { program: "check".to_owned(), args: vec!["-q".to_owned()] };
    let spec = adjusted("run", |command| {
        command.environment.declared.push(("PORT".to_owned(), "7".to_owned()));
        command.ready_when = Some(probe);
    });
    let id = world.launch_spec(spec).await;
    world.pass(seconds(3)).await;
    world.prober.works("check");
    world.pass(seconds(1)).await;
    assert!(is_ready(&world, id).await);
    let order = world.prober.orders().pop().unwrap();
    assert_eq!((order.program.as_str(), order.directory.as_str()), ("check", "/work"));
    assert_eq!(order.args, ["-q"]);
    assert!(order.environment.contains(&("PORT".to_owned(), "7".to_owned())));
    assert!(!format!("{order:?}").contains("\"7\""));
}

#[tokio::test(start_paused = true)]
async fn a_line_of_the_output_makes_it_ready_at_once_also_without_its_end() {
    let world = World::new().await;
    let lines = world.launch_spec(asking("run", logging("^listening on [0-9]+$"))).await;
    let prompt = world.launch_spec(asking("run", logging("^> "))).await;
    let at_once = world.launch_spec(asking("echo server ready", logging("ready"))).await;
    world.pass(seconds(5)).await;
    world.says(lines, OutputSource::Stdout, "not listening on 80\nlistening ").await;
    assert!(!is_ready(&world, lines).await);
    world.says(lines, OutputSource::Stdout, "on 8080\nmore\n").await;
    assert!(is_ready(&world, lines).await);
    world.says(prompt, OutputSource::Stderr, "> ").await;
    world.pass(Duration::from_millis(250)).await;
    assert!(is_ready(&world, prompt).await);
    assert_eq!(world.status(at_once).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_ready_ends_with_ready_and_with_the_end() {
    let world = World::new().await;
    let serves = world.launch_spec(asking("serve 80 4000", ReadyWhen::Port(80))).await;
    let fails = world.launch_spec(asking("exit 1 2000", answering())).await;
    let ids = [serves, fails];
    let any = world.engine.wait(&ids, WaitCondition::Ready, WaitMode::Any, None);
    let any = world.clock.run_until(seconds(60), any).await.unwrap().unwrap();
    assert_eq!(any.processes[1].process.status(), Status::Failed);
    let all = world.engine.wait(&ids, WaitCondition::Ready, WaitMode::All, None);
    let all = world.clock.run_until(seconds(60), all).await.unwrap().unwrap();
    assert!(!all.timed_out && all.processes[0].process.conditions.holds(Condition::Ready));
    assert_eq!(world.status(serves).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_readiness_requires_a_readiness_check() {
    let world = World::new().await;
    let id = world.launch("run").await;
    let refused = world.engine.wait(&[id], WaitCondition::Ready, WaitMode::All, None).await;
    assert!(matches!(refused, Err(EngineError::Invalid { what: "goal", .. })), "{refused:?}");
    world.cancel(id).await;
    world.end(id).await;
    world.engine.wait(&[id], WaitCondition::Ready, WaitMode::All, None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn readiness_survives_a_restart_and_unfinished_checks_continue() {
    let mut world = World::new().await;
    let ready = world.launch_spec(asking("serve 80", ReadyWhen::Port(80))).await;
    let not_yet = world.launch_spec(asking("run", answering())).await;
    let logs = world.launch_spec(asking("run", logging("up"))).await;
    world.pass(seconds(2)).await;
    world.crash().await;
    world.says(logs, OutputSource::Stdout, "up\n").await;
    world.prober.works(URL);
    world.pass(seconds(2)).await;
    for id in [ready, not_yet, logs] {
        assert_eq!(world.told(id).await, ["+ready"]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_readiness_check_runs_for_paused_or_ended_processes() {
    let world = World::new().await;
    let id = world.launch_spec(asking("run", answering())).await;
    world.pass(seconds(2)).await;
    world.ask(id, longhaul_domain::Action::Pause).await.unwrap();
    world.settle().await;
    let asked = world.prober.asked().len();
    world.pass(seconds(60)).await;
    assert_eq!(world.prober.asked().len(), asked);
    world.ask(id, longhaul_domain::Action::Resume).await.unwrap();
    world.pass(seconds(2)).await;
    assert!(world.prober.asked().len() > asked);
    world.cancel(id).await;
    world.end(id).await;
    let asked = world.prober.asked().len();
    world.pass(seconds(60)).await;
    assert_eq!(world.prober.asked().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_to_become_ready_by_itself() {
    let world = World::new().await;
    let retry = longhaul_domain::RetryPolicy { retries: 1, ..longhaul_domain::RetryPolicy::none() };
    let spec = Spec { retry, ..asking("exit 1 5000", logging("up")) };
    let id = world.launch_spec(spec).await;
    world.says(id, OutputSource::Stdout, "up\n").await;
    world.settle().await;
    assert!(is_ready(&world, id).await);
    world.pass(seconds(9)).await;
    assert_eq!(world.stored(id).await.process.attempt.0, 2);
    assert!(!is_ready(&world, id).await);
}
