use crate::world::{World, command, millis, with};
use longhaul_domain::{AttemptNo, ProcessId};
use longhaul_engine::ports::{AttemptKey, OutputLog, OutputSource};
use longhaul_wire::output::{FrameKind, MEDIA_TYPE, OutputFrame};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn output_comes_in_frames_and_ends_with_an_end() {
    let world = World::new().await;
    let id = world.launch("echo hello world").await;
    world.pass(millis(10)).await;
    let answer = world.get(&format!("/v1/processes/{id}/output")).await;
    assert_eq!(answer.headers["content-type"], MEDIA_TYPE);
    let frames = answer.frames();
    assert_eq!(said(&frames), [(FrameKind::Stdout, 0, "hello world\n"), (FrameKind::End, 12, "")]);
}

#[tokio::test(start_paused = true)]
async fn output_is_text_if_events_or_lines_are_requested() {
    let world = World::new().await;
    let id = world.launch("echo hello world").await;
    world.pass(millis(10)).await;
    let path = format!("/v1/processes/{id}/output");
    let text = async |path: &str, headers: &[(&str, &str)]| {
        let answer = world.ask_with("GET", path, headers, axum::body::Body::empty()).await;
        String::from_utf8(answer.bytes).unwrap()
    };
    let events = text(&path, &[("accept", "text/event-stream")]).await;
    let stdout =
        "id: 12\nevent: stdout\ndata: {\"event\":\"stdout\",\"next\":12,\"text\":\"hello world\\n\"}\n\n";
    let end = "id: 12\nevent: end\ndata: {\"event\":\"end\",\"next\":12}\n\n";
    assert_eq!(events, format!("retry: 1000\n\n{stdout}{end}"));
    let resumed = text(&format!("{path}?format=ndjson&from=2"), &[("last-event-id", "6")]).await;
    assert_eq!(
        resumed,
        "{\"event\":\"stdout\",\"next\":12,\"text\":\"world\\n\"}\n{\"event\":\"end\",\"next\":12}\n"
    );
    assert_eq!(
        world.ask_with("GET", &path, &[("last-event-id", "x")], axum::body::Body::empty()).await.status,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn removed_output_is_reported_and_missing_output_is_empty() {
    let world = World::new().await;
    let (spoke, silent) = (world.launch("echo hello").await, world.launch("exit 0").await);
    world.pass(millis(10)).await;
    assert_eq!(world.show(&spoke).await["conditions"], json!([]));
    for id in [&spoke, &silent] {
        world.spawner.output().remove(key(id, 1).id).await.unwrap();
    }
    let problem = world.get(&format!("/v1/processes/{spoke}/output")).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (410, "output_removed"));
    assert!(problem.detail.unwrap().contains("output.total"));
    let shown = world.show(&spoke).await;
    assert_eq!((&shown["conditions"], &shown["log_path"]), (&json!(["output_removed"]), &json!(null)));
    let frames = world.get(&format!("/v1/processes/{silent}/output")).await.frames();
    assert_eq!(said(&frames), [(FrameKind::End, 0, "")]);
    assert_eq!(world.show(&silent).await["conditions"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn output_that_could_not_be_stored_is_noted_where_it_is_missing_while_it_runs() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    let output = world.spawner.output();
    output.write(key(&id, 1), OutputSource::Stdout, b"one\n");
    output.lose(key(&id, 1), 70);
    output.write(key(&id, 1), OutputSource::Stdout, b"two\n");
    let read = async |query: &str, headers: &[(&str, &str)]| {
        let path = format!("/v1/processes/{id}/output?{query}");
        world.ask_with("GET", &path, headers, axum::body::Body::empty()).await.frames()
    };
    let here = "70 bytes of the output could not be stored here and are lost";
    let notes = [("longhaul-notes", "1")];
    let said_all = [
        (FrameKind::Stdout, 0, "one\n"),
        (FrameKind::Note, 4, here),
        (FrameKind::Stdout, 4, "two\n"),
        (FrameKind::End, 8, ""),
    ];
    assert_eq!(said(&read("", &notes).await), said_all);
    let elsewhere = "70 bytes of the output could not be stored and are lost";
    let said_last = [(FrameKind::Stdout, 6, "o\n"), (FrameKind::Note, 8, elsewhere), (FrameKind::End, 8, "")];
    assert_eq!(said(&read("from=6", &notes).await), said_last);
    assert!(read("", &[]).await.iter().all(|frame| frame.kind != FrameKind::Note));
}

#[tokio::test(start_paused = true)]
async fn stream_offset_and_lines_select_the_output() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    let output = world.spawner.output();
    output.write(key(&id, 1), OutputSource::Stdout, b"one\n");
    output.write(key(&id, 1), OutputSource::Stderr, b"bad\n");
    output.write(key(&id, 1), OutputSource::Stdout, b"two\n");
    let read = async |query: &str| {
        let frames = world.get(&format!("/v1/processes/{id}/output?{query}")).await.frames();
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes.clone()).collect();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(world.show(&id).await["output_bytes"], 12, "while the process runs");
    assert_eq!(read("").await, "one\nbad\ntwo\n");
    assert_eq!(read("stream=stderr").await, "bad\n");
    assert_eq!(read("stream=stdout").await, "one\ntwo\n");
    assert_eq!(read("from=4").await, "bad\ntwo\n");
    assert_eq!(read("lines=1").await, "two\n");
    assert_eq!(read("attempt=1").await, "one\nbad\ntwo\n");
    for query in ["attempt=2", "attempt=0", "stream=stdin", "lines=-1", "since=yesterday", "tail=5"] {
        let problem = world.get(&format!("/v1/processes/{id}/output?{query}")).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn follower_gets_later_output_and_ends_with_the_process() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    let path = format!("/v1/processes/{id}/output?follow=true");
    let write = async {
        let output = world.spawner.output();
        output.write(key(&id, 1), OutputSource::Stdout, b"early\n");
        world.pass(millis(1_000)).await;
        output.write(key(&id, 1), OutputSource::Stdout, b"late\n");
        world.pass(millis(1_000)).await;
        output.write(key(&id, 1), OutputSource::Stdout, b"last\n");
        world.spawner.exit(key(&id, 1), 0);
        world.pass(millis(1_000)).await;
    };
    let (answer, ()) = tokio::join!(world.get(&path), write);
    let frames = answer.frames();
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes.clone()).collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), "early\nlate\nlast\n");
    assert_eq!(frames.last().unwrap().kind, FrameKind::End);
}

#[tokio::test(start_paused = true)]
async fn follower_of_a_pending_process_waits_for_it() {
    let world = World::new().await;
    let launch = with(command("echo there"), "delay_ms", json!(30_000));
    let launched = world.post("/v1/processes", launch).await.json();
    let id = launched["process"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/processes/{id}/output?follow=true");
    let answer = world.clock.run_until(millis(60_000), world.get(&path)).await.unwrap();
    assert_eq!(said(&answer.frames()), [(FrameKind::Stdout, 0, "there\n"), (FrameKind::End, 6, "")]);
    let once = world.get(&format!("/v1/processes/{id}/output")).await;
    assert_eq!(once.frames().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn follower_continues_with_the_next_attempt() {
    let world = World::new().await;
    let retry = json!({ "retries": 1, "first_ms": 1_000, "cap_ms": 1_000 });
    let launched = world.post("/v1/processes", with(command("exit 1 500"), "retry", retry)).await.json();
    let id = launched["process"]["id"].as_str().unwrap().to_owned();
    world.pass(millis(1)).await;
    let path = format!("/v1/processes/{id}/output?follow=true");
    let write = async {
        let output = world.spawner.output();
        output.write(key(&id, 1), OutputSource::Stdout, b"first\n");
        while world.show(&id).await["attempt"] != 2 || world.show(&id).await["status"] != "running" {
            world.pass(millis(100)).await;
        }
        output.write(key(&id, 2), OutputSource::Stdout, b"second\n");
        world.pass(millis(2_000)).await;
    };
    let (answer, ()) = tokio::join!(world.get(&path), write);
    assert_eq!(
        said(&answer.frames()),
        [(FrameKind::Stdout, 0, "first\n"), (FrameKind::Stdout, 0, "second\n"), (FrameKind::End, 7, "")]
    );
    let first = world.get(&format!("/v1/processes/{id}/output?attempt=1&follow=true")).await.frames();
    assert_eq!(said(&first), [(FrameKind::Stdout, 0, "first\n"), (FrameKind::End, 6, "")]);
}

#[tokio::test(start_paused = true)]
async fn dropped_middle_is_reported_as_a_gap() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    let output = world.spawner.output();
    output.write(key(&id, 1), OutputSource::Stdout, b"head....tail");
    output.drop_middle(key(&id, 1), 4, 8);
    let frames = world.get(&format!("/v1/processes/{id}/output")).await.frames();
    let expected = [
        (FrameKind::Stdout, 0, "head"),
        (FrameKind::Gap, 8, ""),
        (FrameKind::Stdout, 8, "tail"),
        (FrameKind::End, 12, ""),
    ];
    assert_eq!(said(&frames), expected);
}

#[tokio::test(start_paused = true)]
async fn large_output_is_whole() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    world.spawner.output().write(key(&id, 1), OutputSource::Stdout, &bytes);
    let frames = world.get(&format!("/v1/processes/{id}/output")).await.frames();
    let read: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes.clone()).collect();
    assert!(read == bytes);
}

#[tokio::test(start_paused = true)]
async fn process_without_output_has_an_end_and_reported_work_has_none() {
    let world = World::new().await;
    let id = world.launch("missing").await;
    world.pass(millis(10)).await;
    for follow in ["", "?follow=true"] {
        let frames = world.get(&format!("/v1/processes/{id}/output{follow}")).await.frames();
        assert_eq!(said(&frames), [(FrameKind::End, 0, "")]);
    }
    world.post("/v1/processes", json!({ "reported": {}, "name": "told" })).await;
    let problem = world.get("/v1/processes/told/output").await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "unsupported"));
}

fn key(id: &str, attempt: u32) -> AttemptKey {
    AttemptKey { id: id.parse::<ProcessId>().unwrap(), attempt: AttemptNo(attempt) }
}

fn said(frames: &[OutputFrame]) -> Vec<(FrameKind, u64, &str)> {
    let said = |frame| {
        let OutputFrame { kind, offset, bytes, .. }: &OutputFrame = frame;
        (*kind, *offset, std::str::from_utf8(bytes).unwrap())
    };
    frames.iter().map(said).collect()
}
