//! Tests of a foreground process whose client receives signals.

use super::*;
use crate::arguments::GlobalArgs;
use crate::console::Console;
use crate::render::samples;
use crate::request::CallerContext;
use longhaul_client::fake::{FakeManager, FakeResponse, frames, output, problem, until};
use longhaul_wire::output::FrameKind;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

const NO_INPUT: Option<tokio::io::Empty> = None;

/// Result of following a process in a test: exit code and output.
struct Came {
    outcome: Result<i32, CliError>,
    out: Vec<u8>,
    err: Vec<u8>,
    said: String,
    cancels: Vec<String>,
}

#[test]
fn streams_and_code_are_passed_on() {
    let came = accompanied(&[], &samples::failed());
    assert_eq!(came.outcome.unwrap(), 1);
    assert_eq!((came.out.as_slice(), came.err.as_slice()), (&b"out\xff"[..], &b"err"[..]));
    assert_eq!(came.said, "", "an exit of its own needs no words");
}

#[test]
fn foreground_run_waits_for_a_store_that_becomes_unreachable() {
    let ended = samples::failed();
    let all = answers(&ended, &Rc::new(Cell::new(true)));
    let refused = RefCell::new(vec!["/output", "/v1/wait"]);
    let (console, _out, said) = Console::kept(None, false);
    let answer = move |asked: &longhaul_client::fake::FakeRequest| {
        let mut refused = refused.borrow_mut();
        if let Some(place) = refused.iter().position(|path| asked.path.contains(path)) {
            refused.remove(place);
            return problem(503, "store_unavailable");
        }
        all(asked)
    };
    let (code, out) = FakeManager::run(answer, |fake| async move {
        let context = context(&fake, console);
        let never = async || std::future::pending().await;
        let mut out = Vec::new();
        let code =
            accompany_with(&context, samples::running(), never, NO_INPUT, (&mut out, Vec::new())).await;
        (code.unwrap(), out)
    });
    assert_eq!((code, out.as_slice()), (1, &b"out\xff"[..]));
    assert_eq!(said.text(), "", "without hints nothing is printed");
}

#[test]
fn end_with_another_cause_is_reported() {
    let came = accompanied(&[], &samples::interrupted());
    assert_eq!(came.outcome.unwrap(), 125);
    assert_eq!(came.said, "deadbeef train ? interrupted (supervisor killed) after 1h\n");
}

#[test]
fn first_ctrl_c_cancels() {
    let came = accompanied(&[UserSignal::Interrupt], &samples::cancelled());
    assert_eq!(came.outcome.unwrap(), 130);
    assert_eq!(came.cancels, ["{\"force\":false,\"no_descendants\":false}"]);
}

#[test]
fn second_ctrl_c_kills() {
    let came = accompanied(&[UserSignal::Interrupt, UserSignal::Interrupt], &samples::cancelled());
    assert_eq!(came.outcome.unwrap(), 130);
    assert_eq!(
        came.cancels,
        ["{\"force\":false,\"no_descendants\":false}", "{\"force\":true,\"no_descendants\":false}"]
    );
}

#[test]
fn third_ctrl_c_leaves() {
    let came = accompanied(
        &[UserSignal::Interrupt, UserSignal::Interrupt, UserSignal::Interrupt],
        &samples::cancelled(),
    );
    assert!(matches!(came.outcome, Err(CliError::Interrupted)));
    assert!(came.said.contains("longhaul wait"), "{}", came.said);
}

#[test]
fn process_that_completes_in_spite_of_ctrl_c_keeps_its_code() {
    let came = accompanied(&[UserSignal::Interrupt], &samples::failed());
    assert_eq!(came.outcome.unwrap(), 1);
}

#[test]
fn termination_cancels_and_exits_by_signal() {
    let came = accompanied(&[UserSignal::Terminate], &samples::cancelled());
    assert_eq!(came.outcome.unwrap(), 137);
    assert_eq!(came.cancels, ["{\"force\":false,\"no_descendants\":false}"]);
}

#[test]
fn detaching_leaves_it_running_and_names_it() {
    let came = accompanied(&[UserSignal::Detach], &samples::running());
    assert_eq!(came.outcome.unwrap(), 0);
    assert!(came.said.contains(&samples::running().id), "{}", came.said);
    assert!(came.cancels.is_empty());
}

#[test]
fn process_is_cancelled_if_the_reader_of_its_output_exits() {
    let (console, _out, _err) = Console::kept(None, false);
    let (code, asked) =
        FakeManager::run(answers(&samples::cancelled(), &Rc::new(Cell::new(true))), |fake| async move {
            let context = context(&fake, console);
            let closed = Closed;
            let never = async || std::future::pending().await;
            let code =
                accompany_with(&context, samples::running(), never, NO_INPUT, (closed, Vec::new())).await;
            (code.unwrap(), fake.asked())
        });
    assert_eq!(code, 137);
    assert!(asked.iter().any(|asked| asked.ends_with("/cancel")), "{asked:?}");
}

#[test]
fn complete_input_is_passed_and_then_closed() {
    let over = Rc::new(Cell::new(false));
    let all = answers(&samples::failed(), &over);
    let answer = move |asked: &longhaul_client::fake::FakeRequest| {
        if asked.path.contains("for=running") {
            return FakeResponse::Json(200, json!({"processes": [samples::running()], "timed_out": false}));
        }
        if asked.path.ends_with("/input") {
            // The simulated manager accepts two bytes with each request, and none with the request that closes the
            // input.
            let closes = asked.body.contains("\"close\":true");
            over.set(over.get() || closes);
            return FakeResponse::Json(
                200,
                json!({"id": "x", "bytes": if closes { 0 } else { 2 }, "closed": closes}),
            );
        }
        all(asked)
    };
    let (console, _out, said) = Console::kept(None, false);
    let (code, sent) = FakeManager::run(answer, |fake| async move {
        let context = context(&fake, console);
        let never = async || std::future::pending().await;
        let streams = (Vec::new(), Vec::new());
        let code =
            accompany_with(&context, samples::running(), never, Some(&b"12345"[..]), streams).await.unwrap();
        let sent = fake.asked().into_iter().zip(fake.bodies());
        let sent: Vec<String> =
            sent.filter(|(asked, _)| asked.ends_with("/input")).map(|(_, body)| body).collect();
        (code, sent)
    });
    assert_eq!(code, 1);
    assert_eq!(sent.len(), 4, "{sent:?}");
    for (body, part) in sent.iter().zip(["MTIzNDU=", "MzQ1", "NQ==", "\"close\":true"]) {
        assert!(body.contains(part), "{sent:?}");
    }
    assert_eq!(said.text(), "");
}

#[test]
fn unread_input_is_not_an_error() {
    let over = Rc::new(Cell::new(false));
    let all = answers(&samples::failed(), &over);
    let answer = move |asked: &longhaul_client::fake::FakeRequest| {
        if asked.path.contains("for=running") {
            return FakeResponse::Json(200, json!({"processes": [samples::running()], "timed_out": false}));
        }
        if asked.path.ends_with("/input") {
            over.set(true);
            return problem(409, "input_closed");
        }
        all(asked)
    };
    let (console, _out, said) = Console::kept(None, false);
    let code = FakeManager::run(answer, |fake| async move {
        let context = context(&fake, console);
        let never = async || std::future::pending().await;
        let streams = (Vec::new(), Vec::new());
        accompany_with(&context, samples::running(), never, Some(tokio::io::repeat(b'y')), streams).await
    });
    assert_eq!((code.unwrap(), said.text().as_str()), (1, ""));
}

/// Follows a process and sends the signals one after the other. Each signal is sent after the manager has received the
/// request that the previous signal caused. The process ends after the last signal.
fn accompanied(pending_actions: &[UserSignal], ended: &ProcessView) -> Came {
    let over = Rc::new(Cell::new(pending_actions.is_empty()));
    let (console, _out, said) = Console::kept(None, false);
    let mut pending_actions: VecDeque<UserSignal> = pending_actions.iter().copied().collect();
    FakeManager::run(answers(ended, &over), |fake| async move {
        let context = context(&fake, console);
        let cancels = || {
            let asked = fake.asked().into_iter().zip(fake.bodies());
            let cancels = asked.filter(|(asked, _)| asked.ends_with("/cancel"));
            cancels.map(|(_, body)| body).collect::<Vec<_>>()
        };
        let mut signals = 0;
        let next_signal = async || {
            until(|| cancels().len() >= signals).await;
            let Some(next_signal) = pending_actions.pop_front() else {
                over.set(true);
                return std::future::pending().await;
            };
            signals += 1;
            next_signal
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome =
            accompany_with(&context, samples::running(), next_signal, NO_INPUT, (&mut out, &mut err)).await;
        Came { outcome, out, err, said: said.text(), cancels: cancels() }
    })
}

fn answers(
    ended: &ProcessView,
    over: &Rc<Cell<bool>>,
) -> impl Fn(&longhaul_client::fake::FakeRequest) -> FakeResponse + 'static {
    let (ended, over) = (ended.clone(), Rc::clone(over));
    move |asked| {
        if asked.path.contains("/output") {
            let first = [(FrameKind::Stdout, 0, &b"out\xff"[..]), (FrameKind::Stderr, 4, b"err")];
            if over.get() {
                return output(&[first[0], first[1], (FrameKind::End, 7, b"")]);
            }
            return FakeResponse::Held {
                first: frames(&first),
                may_go_on: Rc::clone(&over),
                rest: frames(&[(FrameKind::End, 7, b"")]),
            };
        }
        if asked.path.starts_with("/v1/wait") {
            return FakeResponse::Json(200, json!({"processes": [ended], "timed_out": false}));
        }
        FakeResponse::Json(200, json!({"process": samples::running(), "changed": true}))
    }
}

fn context(fake: &FakeManager, console: Console) -> VerbContext {
    VerbContext {
        client: fake.client(),
        console,
        global: GlobalArgs::default(),
        around: CallerContext::of(std::path::Path::new("/"), &[]),
    }
}

/// Writer for a stream whose reader has closed it.
struct Closed;

impl AsyncWrite for Closed {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Ready(Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe)))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}
