//! Queues: their view and the request to change them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Queues, and the policy that sets their slots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QueueListing {
    /// Queues that are on hold, or in which a process holds or waits for a slot.
    pub queues: Vec<QueueView>,
    /// Number of slots by key or by key pattern (`claude-*`); 0 means no limit.
    pub slots: BTreeMap<String, u32>,
    /// Number of slots of each key that no entry of `slots` matches; 0 means no limit.
    pub default_slots: u32,
    /// Time at which the list was made.
    pub at: String,
}

/// Queue of one concurrency key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QueueView {
    /// Concurrency key; null for the queue of processes without a key.
    pub key: Option<String>,
    /// Number of slots; null means no limit.
    pub slots: Option<u32>,
    /// Hold of the queue; null if the queue is not on hold.
    pub held: Option<HoldView>,
    /// Number of processes that hold a slot.
    pub running: u64,
    /// Number of processes that wait for a slot.
    pub waiting: u64,
    /// Time since which the longest-waiting process waits.
    pub oldest_at: Option<String>,
    /// Waiting time of that process, in milliseconds.
    pub oldest_wait_ms: Option<u64>,
    /// Ids of the processes that hold a slot, in the order of their submission.
    pub holders: Vec<String>,
    /// Ids of the waiting processes, in the order in which they will start.
    pub waiters: Vec<String>,
}

/// Hold of a queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HoldView {
    /// Time at which the hold started.
    pub since: String,
    /// Free text that names the person or program that set the hold.
    pub by: Option<String>,
}

/// Change of a queue. At least one of `slots` and `held` is required; a field that is left out changes nothing. `by` is
/// allowed only with `held: true`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueRequest {
    /// New number of slots of the key or pattern.
    pub slots: Option<SlotsRequest>,
    /// True to put the queue on hold, so that no waiting process starts; false to release it.
    pub held: Option<bool>,
    /// Free text that names the person or program that sets the hold.
    pub by: Option<String>,
}

/// Number of slots of a key or pattern, or the word `default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotsRequest {
    /// Removes the entry, so that the next matching pattern or the default number applies.
    Default,
    /// Number of slots; 0 means no limit.
    Count(u32),
}

const DEFAULT: &str = "default";

impl Serialize for SlotsRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => serializer.serialize_str(DEFAULT),
            Self::Count(slots) => serializer.serialize_u32(*slots),
        }
    }
}

impl<'de> Deserialize<'de> for SlotsRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SlotsVisitor)
    }
}

struct SlotsVisitor;

impl Visitor<'_> for SlotsVisitor {
    type Value = SlotsRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number from 0 to {} or the word {DEFAULT:?}", u32::MAX)
    }

    fn visit_u64<E: Error>(self, slots: u64) -> Result<SlotsRequest, E> {
        let count = u32::try_from(slots).map(SlotsRequest::Count);
        count.map_err(|_| E::invalid_value(Unexpected::Unsigned(slots), &self))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<SlotsRequest, E> {
        if word == DEFAULT {
            return Ok(SlotsRequest::Default);
        }
        Err(E::invalid_value(Unexpected::Str(word), &self))
    }
}

impl JsonSchema for SlotsRequest {
    fn schema_name() -> Cow<'static, str> {
        "SlotsRequest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of slots, 0 for no limit, or the word `default`.",
            "anyOf": [{ "type": "integer", "minimum": 0, "maximum": u32::MAX }, { "const": DEFAULT }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_a_number_or_the_word_default() {
        let read = |text: &str| serde_json::from_str::<SlotsRequest>(text);
        assert_eq!(read("0").unwrap(), SlotsRequest::Count(0));
        assert_eq!(read("\"default\"").unwrap(), SlotsRequest::Default);
        for refused in ["-1", "4294967296", "1.5", "\"many\"", "null", "true", "[1]"] {
            assert!(read(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn slots_are_written_as_they_are_read() {
        let written = [SlotsRequest::Default, SlotsRequest::Count(3)];
        assert_eq!(serde_json::to_string(&written).unwrap(), "[\"default\",3]");
    }

    #[test]
    fn slots_that_are_left_out_stay() {
        let request: QueueRequest = serde_json::from_str(r#"{"held":true}"#).unwrap();
        assert_eq!(request.slots, None);
    }
}
