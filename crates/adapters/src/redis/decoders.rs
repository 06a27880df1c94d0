//! Decoders of server replies, made accessible to fuzz tests.

use super::codec::{claim, event, ids, refusal, stored};
use super::desync::DesyncFlag;
use super::failure::corrupt;
use super::reply::ScriptReply;
use super::{class, events, output_tails, queues};
use longhaul_domain::Policy;
use longhaul_ports::StoreError;
use longhaul_wire::record;

/// Decodes a reply in the Redis protocol as the answer to the request with this name. Returns the decoded value as
/// debug text.
///
/// # Errors
/// [`StoreError`] if the bytes are not a valid reply to this request.
pub fn read(question: &str, answer: &[u8]) -> Result<String, StoreError> {
    let value = redis::parse_redis_value(answer)
        .map_err(|_| corrupt("the bytes are not a valid reply of a Redis server"))?;
    let mut reply = ScriptReply::of(value, DesyncFlag::default(), record::FORMAT)?;
    Ok(match question {
        "record" => format!("{:?}", stored(&mut reply)?),
        "event" => format!("{:?}", event(&reply.word()?)?),
        "claim" => format!("{:?}", claim(&reply.word()?)?),
        "logged" => format!("{:?}", events::entry(&mut reply)?),
        "ids" => format!("{:?}", ids(reply)?),
        "policy" => format!("{:?}", queues::read_policy(&mut reply)?),
        "queue" => format!("{:?}", queues::view(&mut reply, &Policy::default())?),
        "tail" => format!("{:?}", output_tails::tail(&reply.bytes()?)?),
        "labels" => format!("{:?}", class::of_labels(&reply.word()?)),
        "refusal" => return Err(refusal(&reply.word()?, &mut reply)),
        _ => return Err(corrupt("no decoder has this name")),
    })
}
