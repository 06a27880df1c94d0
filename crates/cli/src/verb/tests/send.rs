//! Tests of `send`.

use super::*;
use longhaul_wire::api::InputReply;

fn took(bytes: u64, closed: bool) -> FakeResponse {
    answered(&InputReply { id: "0a1b2c3d-1111".to_owned(), bytes, closed })
}

#[test]
fn text_is_sent_as_a_line_unless_it_says_otherwise() {
    let came = said("send tests yes", false, |_| took(4, false));
    assert_eq!((came.code(), came.err.as_str()), (0, "sent to 0a1b2c3d: 4 bytes\n"));
    assert_eq!(came.asked, ["POST /v1/processes/tests/input"]);
    assert_eq!(came.body(0)["base64"], "eWVzCg==");
    let bare = said("send tests yes --no-newline", false, |_| took(3, false));
    assert_eq!(bare.body(0)["base64"], "eWVz");
}

#[test]
fn close_follows_when_all_was_taken() {
    let came = said("send tests yes --close --json", false, |asked| {
        let closes = asked.body.contains("\"close\":true");
        took(if closes { 0 } else { 4 }, closes)
    });
    assert_eq!((came.code(), came.asked.len()), (0, 2));
    let reply: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!((&reply["bytes"], &reply["closed"]), (&json!(4), &json!(true)));
    let alone = said("send tests --close", false, |_| took(0, true));
    assert_eq!(alone.err, "sent to 0a1b2c3d: 0 bytes, and its input is closed\n");
    assert_eq!(alone.asked.len(), 1, "{:?}", alone.bodies);
}

#[test]
fn nothing_is_not_sent_and_not_called_done() {
    let came = said("send nope --no-newline ", false, |_| took(0, false));
    assert_eq!((came.code(), came.asked.len()), (2, 0), "{}", came.err);
}

#[test]
fn input_is_sent_until_the_process_stops_reading() {
    let tries = Rc::new(Cell::new(0));
    let came = said("send tests yes --close", false, move |_| {
        tries.set(tries.get() + 1);
        took(if tries.get() == 1 { 1 } else { 0 }, false)
    });
    assert_eq!((came.code(), came.asked.len()), (1, 2), "{:?}", came.bodies);
    assert_eq!(came.body(1)["base64"], "ZXMK");
    let Err(CliError::Unfinished { what, why, .. }) = came.outcome else { panic!("it was done") };
    assert_eq!(what, "3 bytes could not be written");
    assert!(why.unwrap().contains("1 bytes of the input were written"));
}

#[test]
fn refusal_has_its_code() {
    for (slug, status, code) in [
        ("unsupported", 409, 4),
        ("input_closed", 409, 4),
        ("input_unavailable", 503, 6),
        ("wrong_node", 409, 4),
    ] {
        let came = said("send tests yes", false, move |_| problem(status, slug));
        assert_eq!(came.code(), code, "{slug}");
    }
}
