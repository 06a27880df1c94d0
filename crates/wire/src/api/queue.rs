//! Queues as clients see and change them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The queues, and the limits that they get their slots from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QueueListing {
    /// The queues that anybody holds a slot of, waits in, or that are held.
    pub queues: Vec<QueueView>,
    /// Slots by key or by pattern (`claude-*`); 0 means no limit.
    pub slots: BTreeMap<String, u32>,
    /// Slots of a key that nothing else covers; 0 means no limit.
    pub default_slots: u32,
    /// When this was true.
    pub at: String,
}

/// One queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QueueView {
    /// The key; null is the queue of processes without a key.
    pub key: Option<String>,
    /// Its slots; null means no limit.
    pub slots: Option<u32>,
    /// Since when and by whom its waiters are held back; null while they are not.
    pub held: Option<HoldView>,
    /// How many hold a slot.
    pub running: u64,
    /// How many wait for one.
    pub waiting: u64,
    /// Since when the longest waiter waits.
    pub oldest_at: Option<String>,
    /// For how long it has waited.
    pub oldest_wait_ms: Option<u64>,
    /// Who holds a slot, in the order of their submits.
    pub holders: Vec<String>,
    /// Who waits, next first.
    pub waiters: Vec<String>,
}

/// A queue that is held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HoldView {
    /// Since when.
    pub since: String,
    /// By whom, in their own words.
    pub by: Option<String>,
}

/// Changes a queue; what is left out stays as it is. At least one of `slots` and `held`; `by` only to hold it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueRequest {
    /// The slots of the key or pattern.
    pub slots: Option<SlotsRequest>,
    /// Hold its waiters back, or let them go on.
    pub held: Option<bool>,
    /// Who holds them back.
    pub by: Option<String>,
}

/// How many slots a key or pattern shall have: a number, or the word `default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotsRequest {
    /// As many as whatever else covers it says.
    Default,
    /// So many; 0 means no limit.
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
