use crate::world::{World, command, retrying, seconds};
use longhaul_domain::{Ending, Fact, FirstError, PortHolder, ProcessId, Spec, State, Status};
use longhaul_engine::ports::OutputSource;

const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"app.py\", line 7, in <module>\n    start()\n\
    ValueError: bad port\n";

impl World {
    /// Returns the first error in the record of an ended process.
    async fn first_error(&self, id: ProcessId) -> Option<FirstError> {
        let State::Ended(ended) = self.stored(id).await.process.state else { return None };
        ended.ending.exit()?.first_error.as_deref().cloned()
    }

    async fn is_search_incomplete(&self, id: ProcessId) -> bool {
        let State::Ended(ended) = self.stored(id).await.process.state else { return false };
        ended.ending.exit().is_some_and(|exit| exit.circumstances.search_incomplete)
    }

    /// Runs a command that prints a text and exits.
    async fn ended_with(&self, spec: Spec, text: &[u8], code: i32) -> ProcessId {
        let id = self.launch_spec(spec).await;
        self.pass(seconds(1)).await;
        let key = self.key(id).await;
        self.spawner.output().write(key, OutputSource::Stderr, text);
        self.spawner.exit(key, code);
        self.pass(seconds(1)).await;
        id
    }
}

#[tokio::test(start_paused = true)]
async fn failed_command_is_recorded_with_the_first_error_in_its_output() {
    let world = World::new().await;
    let id = world.ended_with(command("run"), TRACEBACK.as_bytes(), 1).await;
    let error = world.first_error(id).await.unwrap();
    assert_eq!(error.message, "ValueError: bad port");
    assert_eq!((error.file.as_deref(), error.line), (Some("app.py"), Some(7)));
    assert_eq!((error.on_stdout, error.offset), (false, 0));
    assert_eq!(error.detail.as_deref(), Some(TRACEBACK.trim_end()));
}

#[tokio::test(start_paused = true)]
async fn completed_and_cancelled_commands_have_no_first_error() {
    let world = World::new().await;
    let id = world.ended_with(command("run"), TRACEBACK.as_bytes(), 0).await;
    assert_eq!((world.status(id).await, world.first_error(id).await), (Status::Completed, None));
    let id = world.launch_spec(command("run")).await;
    world.pass(seconds(1)).await;
    world.spawner.output().write(world.key(id).await, OutputSource::Stderr, TRACEBACK.as_bytes());
    world.cancel(id).await;
    assert_eq!(world.end(id).await, Status::Cancelled);
    assert_eq!(world.first_error(id).await, None);
}

#[tokio::test(start_paused = true)]
async fn failed_command_without_an_error_in_its_output_has_no_first_error() {
    let world = World::new().await;
    let id = world.ended_with(command("run"), b"all is well\n", 3).await;
    assert_eq!((world.status(id).await, world.first_error(id).await), (Status::Failed, None));
}

#[tokio::test(start_paused = true)]
async fn first_error_is_found_at_both_ends_of_a_long_output() {
    let world = World::new().await;
    // The lines are long and therefore few, because the search takes time for each line.
    let filler = format!("{}\n", "a line without meaning ".repeat(100)).repeat(9_000);
    let at_start = world.ended_with(command("run"), format!("{TRACEBACK}{filler}").as_bytes(), 1).await;
    assert_eq!(world.first_error(at_start).await.unwrap().offset, 0);
    let at_end = world.ended_with(command("run"), format!("{filler}{TRACEBACK}").as_bytes(), 1).await;
    let expected = u64::try_from(filler.len()).unwrap();
    assert_eq!(world.first_error(at_end).await.unwrap().offset, expected);
    assert!(world.is_search_incomplete(at_end).await, "the middle was not searched");
}

#[tokio::test(start_paused = true)]
async fn search_that_did_not_read_the_whole_output_is_told_apart_from_one_that_found_nothing() {
    let world = World::new().await;
    let id = world.ended_with(command("run"), b"all is well\n", 3).await;
    assert_eq!((world.first_error(id).await, world.is_search_incomplete(id).await), (None, false));
    let id = world.launch_spec(command("run")).await;
    world.pass(seconds(1)).await;
    let key = world.key(id).await;
    world.spawner.output().write(key, OutputSource::Stderr, TRACEBACK.as_bytes());
    world.spawner.output().delay_reads(seconds(1));
    world.spawner.exit(key, 1);
    assert_eq!(world.end(id).await, Status::Failed);
    assert_eq!((world.first_error(id).await, world.is_search_incomplete(id).await), (None, true));
}

#[tokio::test(start_paused = true)]
async fn each_failed_attempt_has_the_first_error_of_its_own_output() {
    let world = World::new().await;
    let id = world.ended_with(retrying("run", 1), b"error: first attempt\n", 1).await;
    world.pass(seconds(60)).await;
    let key = world.key(id).await;
    world.spawner.output().write(key, OutputSource::Stderr, b"error: second attempt\n");
    world.spawner.exit(key, 1);
    assert_eq!(world.end(id).await, Status::Failed);
    assert_eq!(world.first_error(id).await.unwrap().message, "second attempt");
    let facts = world.facts(id).await;
    let retried = facts.iter().find_map(|fact| {
        let Fact::RetryScheduled { after, .. } = fact else { return None };
        Some(Ending::clone(after))
    });
    let first = retried.unwrap().exit().unwrap().first_error.clone().unwrap();
    assert_eq!(first.message, "first attempt");
}

#[tokio::test(start_paused = true)]
async fn the_next_manager_finds_the_first_error_of_a_command_that_ended_without_one() {
    let mut world = World::new().await;
    let id = world.launch_spec(command("run")).await;
    world.pass(seconds(1)).await;
    world.engine.abandon();
    world.settle().await;
    let key = world.key(id).await;
    world.spawner.output().write(key, OutputSource::Stderr, TRACEBACK.as_bytes());
    world.spawner.exit(key, 1);
    world.crash().await;
    world.settle().await;
    assert_eq!(world.first_error(id).await.unwrap().message, "ValueError: bad port");
}

#[tokio::test(start_paused = true)]
async fn error_of_a_port_in_use_names_the_process_that_holds_the_port() {
    let world = World::new().await;
    let holder = PortHolder { port: 8080, pid: 42, name: "node".to_owned() };
    world.spawner.hold_port(holder.clone());
    for (text, expected) in [
        ("listen tcp :8080: bind: address already in use\n", Some(&holder)),
        ("listen tcp :8081: bind: address already in use\n", None),
        ("OSError: [Errno 98] Address already in use\n", None),
        ("ValueError: port 8080\n", None),
    ] {
        let id = world.ended_with(command("serve"), text.as_bytes(), 1).await;
        let error = world.first_error(id).await;
        assert_eq!(error.and_then(|error| error.port_holder).as_ref(), expected, "{text}");
    }
}
