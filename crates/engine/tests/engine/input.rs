use crate::attention::piped;
use crate::world::{World, seconds};
use longhaul_domain::{ProcessId, Status};
use longhaul_engine::ports::OutputRead;
use longhaul_engine::{EngineError, InputRefusal, InputResult};

async fn refusal(world: &World, id: ProcessId) -> InputRefusal {
    let refused = world.engine.write_input(id, b"x".to_vec(), false).await.unwrap_err();
    let EngineError::InputRefused { id: of, refusal } = refused else {
        unreachable!("{refused:?} instead of a refusal");
    };
    assert_eq!(of, id);
    refusal
}

#[tokio::test(start_paused = true)]
async fn written_input_arrives_and_the_end_of_input_ends_the_command() {
    let world = World::new().await;
    let id = world.launch_spec(piped("cat")).await;
    world.pass(seconds(1)).await;
    let written = world.engine.write_input(id, b"one\n".to_vec(), false).await.unwrap();
    assert_eq!(written, InputResult { bytes: 4, closed: false });
    let written = world.engine.write_input(id, b"two\n".to_vec(), true).await.unwrap();
    assert_eq!(written, InputResult { bytes: 4, closed: true });
    assert_eq!(world.end(id).await, Status::Completed);
    let key = world.key(id).await;
    assert_eq!(world.spawner.input(key), b"one\ntwo\n");
    let page = world.engine.output(key, OutputRead { from: 0, limit: 100, only: None }).await.unwrap();
    assert_eq!(page.chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect::<Vec<_>>(), b"one\ntwo\n");
}

#[tokio::test(start_paused = true)]
async fn unread_input_is_counted_exactly_and_the_input_stays_open() {
    let world = World::new().await;
    let id = world.launch_spec(piped("ask")).await;
    world.pass(seconds(1)).await;
    world.spawner.narrow_input(world.key(id).await, 3);
    let written = world.engine.write_input(id, b"12345".to_vec(), true).await.unwrap();
    assert_eq!(written, InputResult { bytes: 3, closed: false });
}

#[tokio::test(start_paused = true)]
async fn input_is_refused_without_a_pipe_without_a_running_command_or_after_a_close() {
    let world = World::new().await;
    let plain = world.launch("run").await;
    let slow = world.launch_spec(piped("slow 5000")).await;
    let open = world.launch_spec(piped("ask")).await;
    world.pass(seconds(1)).await;
    assert_eq!(refusal(&world, plain).await, InputRefusal::NoPipe);
    assert_eq!(refusal(&world, slow).await, InputRefusal::NotRunning { status: Status::Starting });
    world.engine.write_input(open, Vec::new(), true).await.unwrap();
    assert_eq!(refusal(&world, open).await, InputRefusal::Closed);
    world.cancel(open).await;
    world.end(open).await;
    assert_eq!(refusal(&world, open).await, InputRefusal::NotRunning { status: Status::Cancelled });
    let work = world.launch_spec(crate::world::reported(|_| {})).await;
    assert_eq!(refusal(&world, work).await, InputRefusal::NoPipe);
    let unknown = ProcessId::new(uuid::Uuid::from_u128(99));
    let refused = world.engine.write_input(unknown, Vec::new(), false).await;
    assert!(matches!(refused, Err(EngineError::NotFound { .. })), "{refused:?}");
}
