//! Measurements. They are started manually in a release build: `cargo test -p longhaul-engine --release -- --ignored
//! measure`.

use crate::world::{World, command};
use longhaul_domain::{Action, StopCause};
use std::time::{Duration, Instant};

const LAUNCHES: usize = 2_000;
const ROUNDS: usize = 9;

/// Returns the 50th and the 99th percentile of the duration of a launch.
async fn launches(world: &World) -> (Duration, Duration) {
    let mut spans = Vec::with_capacity(LAUNCHES);
    for _ in 0..LAUNCHES {
        let begin = Instant::now();
        let id = world.launch_spec(command("run")).await;
        spans.push(begin.elapsed());
        // Only a few processes are live at a time, because the fakes are slow if there are many.
        world.ask(id, Action::Force { cause: StopCause::User }).await.unwrap();
        while !world.status(id).await.is_ended() {
            tokio::task::yield_now().await;
        }
    }
    spans.sort_unstable();
    (spans[LAUNCHES / 2], spans[LAUNCHES * 99 / 100])
}

/// Rounds with and without subscribers alternate, so that other load on the machine affects both kinds. The result of
/// each kind is the median of its rounds.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "a measurement prints its results")]
fn measure_a_launch_with_and_without_bad_subscribers() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(launches(&World::new().await).await);
            let world = World::new().await;
            let mut guards = vec![
                world.engine.on_event(|_| std::thread::sleep(Duration::from_secs(60))),
                world.engine.on_event(|_| std::panic::resume_unwind(Box::new("on purpose"))),
            ];
            for guard in &mut guards {
                guard.listening().await;
            }
            let silent = world.engine.subscribe(None, 16).await.unwrap();
            with.push(launches(&world).await);
            drop((guards, silent));
        }
        for (name, rounds) in [("without", &mut without), ("with   ", &mut with)] {
            rounds.sort_unstable_by_key(|(_, p99)| *p99);
            let (p50, p99) = rounds[ROUNDS / 2];
            println!("{name} subscribers: launch p50 {p50:?} p99 {p99:?}");
        }
    });
    runtime.shutdown_background();
}
