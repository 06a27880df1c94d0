//! Tests of the client with simulated managers that behave in different ways.

use super::fake::{FakeManager, FakeResponse, frames, output, problem};
use super::*;
use longhaul_wire::api::{LaunchReply, VersionReply};
use longhaul_wire::output::FrameKind;
use serde_json::json;
use std::cell::Cell;
use std::rc::Rc;

#[test]
fn answer_is_read() {
    let version = FakeManager::run(
        |_| FakeResponse::Json(200, json!({"version": "1.2.3", "protocol": 1})),
        |fake| async move { fake.client().fetch::<VersionReply>(&RequestPath::version()).await },
    );
    assert_eq!(version.unwrap().version, "1.2.3");
}

#[test]
fn body_arrives_as_json() {
    let (bodies, asked) = FakeManager::run(
        |_| FakeResponse::Json(201, json!({"created": true})),
        |fake| async move {
            let launched: LaunchReply =
                fake.client().send(&RequestPath::processes(), &json!({"name": "ü"})).await.unwrap();
            assert!(launched.created);
            (fake.bodies(), fake.asked())
        },
    );
    assert_eq!((bodies, asked), (vec!["{\"name\":\"ü\"}".to_owned()], vec!["POST /v1/processes".to_owned()]));
}

#[test]
fn refusal_keeps_its_slug_and_status() {
    let failure = failure_of(|_| problem(409, "no_slot"));
    let ClientError::Problem { problem } = failure else {
        panic!("{failure:?}");
    };
    assert_eq!((problem.slug.as_str(), problem.status), ("no_slot", 409));
}

#[test]
fn error_response_that_is_no_problem_document_is_quoted() {
    let failure =
        failure_of(|_| FakeResponse::Raw(response("500 Oops", "longhaul-protocol: 1\r\n", "plain text")));
    let ClientError::Problem { problem } = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(
        (problem.slug.as_str(), problem.status, problem.detail.as_deref()),
        ("internal", 500, Some("plain text"))
    );
}

#[test]
fn answer_without_a_protocol_is_from_another_program() {
    for answer in [response("200 OK", "", "{}"), b"SSH-2.0-OpenSSH\r\n".to_vec()] {
        let failure = failure_of(move |_| FakeResponse::Raw(answer.clone()));
        assert!(matches!(failure, ClientError::Stranger { .. }), "{failure:?}");
    }
}

#[test]
fn other_protocol_is_named_even_with_a_refusal() {
    let failure = failure_of(|_| FakeResponse::Raw(response("404 X", "longhaul-protocol: 2\r\n", "{}")));
    assert!(matches!(&failure, ClientError::Protocol { theirs, .. } if theirs == "2"), "{failure:?}");
}

#[test]
fn query_is_repeated_after_a_lost_connection_and_a_change_is_not() {
    let tries = Rc::new(Cell::new(0));
    let seen = Rc::clone(&tries);
    let departing = move |_: &fake::FakeRequest| {
        seen.set(seen.get() + 1);
        if seen.get() % 2 == 1 {
            FakeResponse::Raw(Vec::new())
        } else {
            FakeResponse::Json(200, json!({"version": "2"}))
        }
    };
    let (reported, changed) = FakeManager::run(departing, |fake| async move {
        let socket = fake.client().socket().to_owned();
        let state_dir = socket.parent().unwrap().to_owned();
        let client = Client::new(ManagerLocator {
            socket,
            state_dir,
            autostart: Some(Box::new(|| Ok(()))),
            store: None,
        });
        let reported = client.fetch::<VersionReply>(&RequestPath::version()).await;
        (reported, client.send::<_, VersionReply>(&RequestPath::processes(), &json!({})).await)
    });
    assert_eq!(reported.unwrap().version, "2");
    assert!(matches!(changed, Err(ClientError::Broken { .. })), "{changed:?}");
    assert_eq!(tries.get(), 3);
}

#[test]
fn incomplete_response_is_a_broken_connection() {
    let half = b"HTTP/1.1 200 OK\r\nlonghaul-protocol: 1\r\ncontent-length: 100\r\n\r\n{\"version\"";
    for bytes in [&b""[..], half] {
        let bytes = bytes.to_vec();
        let failure = failure_of(move |_| FakeResponse::Raw(bytes.clone()));
        assert!(matches!(failure, ClientError::Broken { .. }), "{failure:?}");
    }
    let failure = failure_of(|_| FakeResponse::Raw(response("200 OK", "longhaul-protocol: 1\r\n", "[1, 2")));
    assert!(matches!(failure, ClientError::Broken { .. }), "{failure:?}");
}

#[test]
fn request_to_a_silent_manager_fails_after_the_time_limit() {
    let failure = FakeManager::run(
        |_| FakeResponse::Silence,
        |fake| async move {
            let client = fake.client().with_time_limit(Duration::from_millis(20));
            client.fetch::<VersionReply>(&RequestPath::version()).await.unwrap_err()
        },
    );
    assert!(matches!(failure, ClientError::Silent { .. }), "{failure:?}");
}

#[test]
fn frames_are_complete_for_every_size_of_the_chunks() {
    let all = [
        (FrameKind::Stdout, 0, &b"one\n"[..]),
        (FrameKind::Stderr, 4, b"two\n"),
        (FrameKind::Gap, 1_000, b""),
        (FrameKind::Stdout, 1_000, b"three"),
        (FrameKind::End, 1_005, b""),
    ];
    let bytes = frames(&all);
    for size in [1, 7, 25, bytes.len()] {
        let pieces: Vec<Vec<u8>> = bytes.chunks(size).map(<[u8]>::to_vec).collect();
        let seen = FakeManager::run(
            move |_| FakeResponse::Stream { pieces: pieces.clone(), proper: true },
            |fake| async move {
                let mut frames = fake.client().stream(&RequestPath::processes()).await.unwrap();
                let mut seen = Vec::new();
                while let Some(frame) = frames.next().await.unwrap() {
                    seen.push((frame.kind, frame.offset, frame.bytes));
                }
                assert!(frames.next().await.unwrap().is_none());
                seen
            },
        );
        let expected: Vec<_> =
            all.iter().map(|(kind, offset, bytes)| (*kind, *offset, bytes.to_vec())).collect();
        assert_eq!(seen, expected, "in pieces of {size}");
    }
}

#[test]
fn large_frame_and_many_small_ones_arrive() {
    let large = vec![b'x'; 1024 * 1024];
    let bytes = large.clone();
    let seen = FakeManager::run(
        move |_| {
            let mut all = vec![(FrameKind::Stdout, 0, bytes.as_slice())];
            all.extend((0..5_000).map(|n| (FrameKind::Stderr, n, &b"e\n"[..])));
            all.push((FrameKind::End, 0, b""));
            output(&all)
        },
        |fake| async move {
            let mut frames = fake.client().stream(&RequestPath::processes()).await.unwrap();
            let first = frames.next().await.unwrap().unwrap();
            let mut rest = 0;
            while frames.next().await.unwrap().is_some() {
                rest += 1;
            }
            (first.bytes, rest)
        },
    );
    assert!(seen == (large, 5_001));
}

#[test]
fn stream_that_stops_before_its_end_is_broken() {
    for proper in [true, false] {
        let failure = FakeManager::run(
            move |_| FakeResponse::Stream {
                pieces: vec![frames(&[(FrameKind::Stdout, 0, b"half")])],
                proper,
            },
            |fake| async move {
                let mut frames = fake.client().stream(&RequestPath::processes()).await.unwrap();
                assert_eq!(frames.next().await.unwrap().unwrap().bytes, b"half");
                frames.next().await.unwrap_err()
            },
        );
        assert!(matches!(failure, ClientError::Broken { .. }), "{failure:?}");
    }
}

#[test]
fn frame_of_an_unknown_kind_is_broken() {
    let failure = FakeManager::run(
        |_| FakeResponse::Stream { pieces: vec![vec![9; 64]], proper: true },
        |fake| async move {
            fake.client().stream(&RequestPath::processes()).await.unwrap().next().await.unwrap_err()
        },
    );
    assert!(matches!(failure, ClientError::Broken { .. }), "{failure:?}");
}

#[test]
fn manager_is_started_once_if_no_manager_answers() {
    let top = tempfile::tempdir().unwrap();
    let starts = Rc::new(Cell::new(0));
    let counted = Rc::clone(&starts);
    let client = Client::new(ManagerLocator {
        socket: top.path().join("longhaul.sock"),
        state_dir: top.path().to_owned(),
        store: None,
        autostart: Some(Box::new(move || {
            counted.set(counted.get() + 1);
            Err(StartError::Ended { ending: "exit 1".to_owned(), last_lines: vec!["disk full".to_owned()] })
        })),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failure = runtime.block_on(client.fetch::<VersionReply>(&RequestPath::version())).unwrap_err();
    assert!(
        matches!(&failure, ClientError::Down { started: Some(StartError::Ended { .. }), .. }),
        "{failure:?}"
    );
    assert_eq!(starts.get(), 1);
}

#[test]
fn started_manager_receives_the_request() {
    let top = tempfile::tempdir().unwrap();
    let socket = top.path().join("longhaul.sock");
    let path = socket.clone();
    let client = Client::new(ManagerLocator {
        socket,
        state_dir: top.path().to_owned(),
        store: None,
        autostart: Some(Box::new(move || {
            let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
            std::thread::spawn(move || {
                use std::io::{Read, Write};
                let (mut stream, _) = listener.accept().unwrap();
                let _request = stream.read(&mut [0; 1024]).unwrap();
                stream
                    .write_all(&response("200 OK", "longhaul-protocol: 1\r\n", "{\"version\":\"7\"}"))
                    .unwrap();
            });
            Ok(())
        })),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let version: VersionReply = runtime.block_on(client.fetch(&RequestPath::version())).unwrap();
    assert_eq!(version.version, "7");
}

fn failure_of(answer: impl Fn(&super::fake::FakeRequest) -> FakeResponse + 'static) -> ClientError {
    FakeManager::run(answer, |fake| async move {
        fake.client().fetch::<VersionReply>(&RequestPath::version()).await.unwrap_err()
    })
}

fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
