//! Tests that read an output while the command writes it.

use crate::bench::{Bench, SOON, key};
use longhaul_ports::{OutputError, OutputLog, OutputRead, OutputSource};

#[tokio::test]
async fn a_reader_that_waits_for_output_is_woken_by_output_and_by_the_end() {
    let bench = Bench::new();
    bench.start(key(1), "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two; exit 0").await;
    bench.spawned().await;
    bench.output.grown(key(1), 0).await.unwrap();
    bench.says(key(1), "one\n").await;
    let (grown, ()) = tokio::join!(tokio::time::timeout(SOON, bench.output.grown(key(1), 4)), async {
        std::fs::write(bench.path().join("go"), "").unwrap();
    });
    grown.unwrap().unwrap();
    bench.exited().await;
    assert_eq!(bench.text(key(1)).await, "one\ntwo\n");
    tokio::time::timeout(SOON, bench.output.grown(key(1), 8)).await.unwrap().unwrap();
}

#[tokio::test]
async fn both_streams_are_distinguished() {
    let bench = Bench::new();
    bench.start(key(1), "echo out; sleep 0.05; echo err >&2; sleep 0.05; echo out").await;
    bench.spawned().await;
    bench.exited().await;
    let of = async |only| {
        let page = bench.output.read(key(1), OutputRead { from: 0, limit: 100, only }).await.unwrap();
        let bytes: Vec<u8> = page.chunks.into_iter().flat_map(|chunk| chunk.bytes).collect();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(of(None).await, "out\nerr\nout\n");
    assert_eq!(of(Some(OutputSource::Stdout)).await, "out\nout\n");
    assert_eq!(of(Some(OutputSource::Stderr)).await, "err\n");
    assert_eq!(bench.output.last_lines(key(1), 1, Some(OutputSource::Stderr)).await.unwrap(), 4);
}

#[tokio::test]
async fn the_place_is_a_file_that_any_tool_can_read() {
    let bench = Bench::new();
    bench.start(key(1), "echo hello").await;
    bench.spawned().await;
    bench.exited().await;
    assert_eq!(std::fs::read_to_string(bench.output.place(key(1)).0).unwrap(), "hello\n");
}

#[tokio::test]
async fn large_output_keeps_head_and_tail_and_reports_the_gap() {
    let bench = Bench::new();
    let mut order = bench.order(key(1), "echo first; head -c 8000000 /dev/zero; echo last");
    order.command.output.head = 4096;
    order.command.output.tail = 1 << 20;
    longhaul_ports::Spawner::start(&bench.spawner, order).await.unwrap();
    bench.spawned().await;
    bench.exited().await;
    let size = bench.output.size(key(1)).await.unwrap();
    assert_eq!(size.end, 8_000_011);
    let (start, resume) = size.gap.unwrap();
    let page = bench.output.read(key(1), OutputRead { from: 0, limit: 1 << 20, only: None }).await.unwrap();
    assert!(page.chunks.first().unwrap().bytes.starts_with(b"first\n"));
    assert_eq!(page.gap, resume - start);
    let last = bench.output.last_lines(key(1), 1, None).await.unwrap();
    let page =
        bench.output.read(key(1), OutputRead { from: last, limit: 1 << 20, only: None }).await.unwrap();
    assert!(page.chunks.is_empty() || page.next <= size.end);
}

#[tokio::test]
async fn an_attempt_at_work_is_not_removed_and_another_name_is_not_listed() {
    let bench = Bench::new();
    for name in ["lost+found", "bg-00000000-0000-4000-8000-000000000001"] {
        std::fs::create_dir(bench.path().join("attempts").join(name)).unwrap();
    }
    bench.start(key(1), "echo begun; while [ ! -e go ]; do sleep 0.01; done").await;
    bench.spawned().await;
    bench.says(key(1), "begun\n").await;
    assert_eq!(bench.output.kept(None, 10).await.unwrap(), [key(1).id]);
    let refused = bench.output.remove(key(1).id).await;
    assert!(matches!(refused, Err(OutputError::Failed { tried: "removed", .. })), "{refused:?}");
    assert_eq!(bench.text(key(1)).await, "begun\n");
    std::fs::write(bench.path().join("go"), "").unwrap();
    bench.exited().await;
    bench.output.remove(key(1).id).await.unwrap();
    assert_eq!(bench.output.kept(None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn removed_output_is_reported_as_missing() {
    let bench = Bench::new();
    bench.start(key(1), "echo hello").await;
    bench.spawned().await;
    bench.exited().await;
    bench.output.remove(key(1).id).await.unwrap();
    bench.output.remove(key(1).id).await.unwrap();
    assert!(matches!(bench.output.size(key(1)).await, Err(OutputError::Missing { .. })));
    assert!(matches!(bench.output.grown(key(1), 0).await, Err(OutputError::Missing { .. })));
}

#[tokio::test]
async fn last_output_is_dated_like_its_last_piece_and_silence_is_not_dated() {
    let bench = Bench::new();
    bench.start(key(1), "while [ ! -e go ]; do sleep 0.01; done; echo one; sleep 0.05; echo two").await;
    bench.spawned().await;
    assert_eq!(bench.output.size(key(1)).await.unwrap().last_at, None);
    std::fs::write(bench.path().join("go"), "").unwrap();
    bench.exited().await;
    let page = bench.output.read(key(1), OutputRead { from: 0, limit: 100, only: None }).await.unwrap();
    let (first, last) = (page.chunks.first().unwrap().at, page.chunks.last().unwrap().at);
    assert!(last > first);
    assert_eq!(bench.output.size(key(1)).await.unwrap().last_at, Some(last));
}
