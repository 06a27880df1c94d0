//! Tests of writes to the standard input of a command.

use crate::bench::{Bench, SOON, by_user, code, key, until};
use longhaul_adapters::os::ContainmentChoice;
use longhaul_ports::{Adopted, AttemptKey, SpawnError, Spawner};

/// Capacity of a pipe in bytes.
const PIPE: usize = 64 << 10;

async fn close(bench: &Bench, key: AttemptKey, text: &str) -> usize {
    bench.spawner.write_input(key, text.as_bytes().to_vec(), true).await.unwrap()
}

async fn closed(bench: &Bench, key: AttemptKey) -> bool {
    let refused = bench.spawner.write_input(key, b"late".to_vec(), false).await;
    matches!(refused, Err(SpawnError::InputClosed { key: named }) if named == key)
}

#[tokio::test]
async fn written_input_is_read_and_ends_when_it_is_closed() {
    for containment in [ContainmentChoice::Subreaper, ContainmentChoice::Auto, ContainmentChoice::Group] {
        let bench = Bench::with(containment);
        bench.start_reading(key(1), "sh", &["-c", "cat; echo ended; exit 5"]).await;
        bench.spawned().await;
        assert_eq!(bench.write(key(1), "one\n").await, 4);
        bench.says(key(1), "one\n").await;
        assert_eq!(close(&bench, key(1), "two\n").await, 4);
        assert_eq!(code(&bench.exited().await), 5);
        assert_eq!(bench.text(key(1)).await, "one\ntwo\nended\n");
    }
}

#[tokio::test]
async fn input_is_refused_if_it_is_closed_is_not_a_pipe_or_has_no_reader() {
    let bench = Bench::new();
    bench.start_reading(key(1), "sh", &["-c", "cat; sleep 3600"]).await;
    bench.spawned().await;
    assert_eq!(close(&bench, key(1), "").await, 0);
    assert!(closed(&bench, key(1)).await);
    bench.start(key(2), "cat; sleep 3600").await;
    bench.spawned().await;
    assert!(closed(&bench, key(2)).await);
    bench.start_reading(key(3), "sh", &["-c", "exec <&-; echo away; sleep 3600"]).await;
    bench.spawned().await;
    bench.says(key(3), "away").await;
    assert!(closed(&bench, key(3)).await);
}

#[tokio::test]
async fn input_of_an_ended_or_unknown_attempt_is_refused() {
    let bench = Bench::new();
    bench.start_reading(key(1), "true", &[]).await;
    bench.spawned().await;
    bench.exited().await;
    for key in [key(1), key(2)] {
        let refused = bench.spawner.write_input(key, b"x".to_vec(), true).await;
        assert!(matches!(refused, Err(SpawnError::Unknown { key: named }) if named == key), "{refused:?}");
    }
}

#[tokio::test]
async fn unread_pipe_accepts_its_capacity_and_the_writer_does_not_block() {
    let bench = Bench::new();
    bench.start_reading(key(1), "sh", &["-c", "while [ ! -e go ]; do sleep 0.01; done; wc -c"]).await;
    bench.spawned().await;
    let much = "x".repeat(PIPE + 1);
    let written = tokio::time::timeout(SOON, bench.write(key(1), &much)).await.unwrap();
    assert_eq!(written, PIPE);
    // The input is closed only if all bytes of the request were accepted.
    assert_eq!(close(&bench, key(1), "more").await, 0);
    std::fs::write(bench.path().join("go"), "").unwrap();
    until(async || close(&bench, key(1), "end").await == 3).await;
    bench.exited().await;
    assert_eq!(bench.text(key(1)).await.trim(), (PIPE + 3).to_string());
}

#[tokio::test]
async fn more_than_a_pipe_holds_is_taken_while_it_is_read() {
    let bench = Bench::new();
    bench.start_reading(key(1), "wc", &["-c"]).await;
    bench.spawned().await;
    let much = "x".repeat(PIPE * 10);
    assert_eq!(close(&bench, key(1), &much).await, much.len());
    bench.exited().await;
    assert_eq!(bench.text(key(1)).await.trim(), much.len().to_string());
}

#[tokio::test]
async fn writes_of_several_do_not_mix() {
    let bench = Bench::new();
    bench.start_reading(key(1), "cat", &[]).await;
    bench.spawned().await;
    let [a, b] = ["a", "b"].map(|letter| letter.repeat(PIPE * 3));
    let (first, second) = tokio::join!(bench.write(key(1), &a), bench.write(key(1), &b));
    assert_eq!((first, second), (a.len(), b.len()));
    close(&bench, key(1), "").await;
    bench.exited().await;
    let text = bench.text(key(1)).await;
    assert!(text == format!("{a}{b}") || text == format!("{b}{a}"), "they were mixed");
}

#[tokio::test]
async fn input_stays_open_from_one_life_to_the_next_and_can_be_closed_there() {
    let mut bench = Bench::new();
    bench.start_reading(key(1), "sh", &["-c", "cat; exit 6"]).await;
    bench.spawned().await;
    bench.write(key(1), "before\n").await;
    bench.says(key(1), "before").await;
    bench.next_life();
    assert!(matches!(bench.adopt(key(1)).await, Ok(Adopted::Alive(_))));
    bench.write(key(1), "after\n").await;
    bench.says(key(1), "after").await;
    close(&bench, key(1), "").await;
    assert_eq!(code(&bench.exited().await), 6);
}

#[tokio::test]
async fn input_that_was_closed_stays_closed_in_the_next_life() {
    let mut bench = Bench::new();
    bench.start_reading(key(1), "sh", &["-c", "cat; sleep 3600"]).await;
    bench.spawned().await;
    close(&bench, key(1), "").await;
    bench.next_life();
    assert!(matches!(bench.adopt(key(1)).await, Ok(Adopted::Alive(_))));
    assert!(closed(&bench, key(1)).await);
}

#[tokio::test]
async fn input_outlives_the_shim_and_can_be_closed_without_it() {
    let bench = Bench::new();
    bench.start_reading(key(1), "sh", &["-c", "cat; exit 7"]).await;
    bench.spawned().await;
    // The first write ensures that the input is set up before the shim is killed.
    bench.write(key(1), "before\n").await;
    bench.kill_shim(key(1));
    until(async || bench.spawner.write_input(key(1), b"after\n".to_vec(), false).await.is_ok()).await;
    bench.says(key(1), "after").await;
    until(async || bench.spawner.write_input(key(1), Vec::new(), true).await.is_ok()).await;
    assert_eq!(code(&bench.exited().await), 7);
}

#[tokio::test]
async fn command_with_an_open_input_is_stopped_like_any_other() {
    let bench = Bench::new();
    bench.start_reading(key(1), "cat", &[]).await;
    bench.spawned().await;
    bench.spawner.stop(key(1), by_user(false)).await.unwrap();
    bench.exited().await;
    bench.spawner.end_recorded(key(1)).await;
    until(async || !bench.attempt(key(1)).join(longhaul_shim::INPUT).exists()).await;
}
