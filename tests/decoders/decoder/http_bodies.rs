//! Decodes request bodies of the HTTP interface. The first line selects the kind of request.

use super::{Verdict, headed, said, told};
use longhaul_http::decoders::{query, read_body};
use longhaul_wire::api;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let (which, body) = headed(bytes)?;
    match which {
        "launch" => {
            body_of::<api::LaunchRequest>(body)?;
            let launch = || -> Result<String, String> {
                let request = read_body(body.as_bytes()).map_err(said)?;
                let launch = longhaul_api::decoders::launch(request).map_err(said)?;
                Ok(format!("{:?}", launch.spec))
            };
            assert_eq!(launch(), launch(), "two decodings differ");
            launch().map(drop)
        }
        "input" => body_of::<api::InputRequest>(body),
        "queue" => body_of::<api::QueueRequest>(body),
        "cancel" => body_of::<api::CancelRequest>(body),
        "pause" => body_of::<api::PauseRequest>(body),
        "signal" => body_of::<api::SignalRequest>(body),
        "priority" => body_of::<api::PriorityRequest>(body),
        "restart" => body_of::<api::RestartRequest>(body),
        "update" => body_of::<api::UpdateRequest>(body),
        "complete" => body_of::<api::CompleteRequest>(body),
        "fail" => body_of::<api::FailRequest>(body),
        "prune" => body_of::<api::PruneRequest>(body),
        "reset" => body_of::<api::ResetRequest>(body),
        "restart-interrupted" => body_of::<api::RestartInterruptedRequest>(body),
        "end-session" => body_of::<api::EndSessionRequest>(body),
        "cancel-level" => body_of::<api::CancelLevelRequest>(body),
        "query" => {
            assert_eq!(query(body), query(body), "two decodings differ");
            Ok(())
        }
        _ => Err("unknown request".to_owned()),
    }
}

fn body_of<T: DeserializeOwned + Serialize>(body: &str) -> Verdict {
    let value = |text: &[u8]| -> Result<Value, String> {
        let request: T = read_body(text).map_err(said)?;
        told(serde_json::to_value(&request))
    };
    let (one, other) = (value(body.as_bytes()), value(body.as_bytes()));
    assert_eq!(one, other, "two decodings differ");
    let found = one?;
    let again = value(found.to_string().as_bytes());
    assert!(
        again.as_ref().is_ok_and(|again| is_close(again, &found)),
        "the decoding of the encoded value differs: {again:?} of {found:?}"
    );
    Ok(())
}

/// Returns true if two JSON documents are equal. The last bit of a fraction may differ, because the text form does not
/// preserve it.
fn is_close(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one != other => {
            let (one, other) = (one.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(1.0));
            (one - other).abs() <= one.abs() * 1e-12
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_close(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| is_close(one, other)))
        }
        _ => one == other,
    }
}
