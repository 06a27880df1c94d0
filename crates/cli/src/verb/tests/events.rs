//! Tests of `events`.

use super::*;

fn told(cursor: &str, event: &str, subject: &str) -> Vec<u8> {
    let data = json!({
        "event": event, "subject": subject, "time": "2026-11-21T12:00:00Z", "later": 1, "data": {"name": "tests"},
    });
    format!("id: {cursor}\nevent: {event}\ndata: {data}\n\n").into_bytes()
}

fn caught_up(cursor: &str) -> Vec<u8> {
    format!("id: {cursor}\nevent: caught_up\ndata: {{\"cursor\":\"{cursor}\"}}\n\n").into_bytes()
}

#[test]
fn events_are_shown_one_a_line() {
    let came = said("events 0a1b --type PROCESS_FAILED,GAP", false, |asked| {
        assert_eq!(
            asked.path,
            "/v1/events?process=0a1b&type=PROCESS_FAILED&type=GAP&format=sse&follow=false"
        );
        let pieces = vec![told("e-1", "PROCESS_FAILED", "0a1b2c3d-1"), caught_up("e-1")];
        FakeResponse::Stream { pieces, proper: true }
    });
    assert_eq!(came.code(), 0);
    assert_eq!(came.out, "2026-11-21 12:00:00 UTC PROCESS_FAILED           0a1b2c3d tests\n");
}

#[test]
fn nothing_that_happened_is_said_in_words_and_to_programs_in_none() {
    let nothing = |_: &FakeRequest| FakeResponse::Stream { pieces: vec![caught_up("e-1")], proper: true };
    let came = said("events --session nope", false, nothing);
    assert_eq!((came.code(), came.out.as_str()), (0, ""));
    assert!(came.err.starts_with("no stored event matches"), "{}", came.err);
    let came = said("events --json", false, nothing);
    assert_eq!((came.out.as_str(), came.err.as_str()), ("", ""));
}

#[test]
fn json_events_are_the_envelopes_of_the_manager() {
    let came = said("events --json --session s1", false, |_| {
        let pieces = vec![told("e-1", "PROCESS_EVOLVED", "0a1b2c3d-1")];
        FakeResponse::Stream { pieces, proper: true }
    });
    let event: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!((event["event"].as_str(), event["later"].as_u64()), (Some("PROCESS_EVOLVED"), Some(1)));
}

#[test]
fn events_continue_at_their_cursor_under_the_next_manager() {
    let came = said("events -f -o name", false, |asked| match asked.path.as_str() {
        "/v1/events?format=sse&follow=true" => {
            FakeResponse::Stream { pieces: vec![caught_up("e-7")], proper: false }
        }
        "/v1/events?format=sse&follow=true&after=e-7" => {
            FakeResponse::Stream { pieces: vec![told("e-8", "PROCESS_STARTED", "one")], proper: true }
        }
        "/v1/events?format=sse&follow=true&after=e-8" => problem(400, "invalid_request"),
        other => panic!("{other}"),
    });
    assert_eq!((came.out.as_str(), came.code()), ("one\n", 2));
}
