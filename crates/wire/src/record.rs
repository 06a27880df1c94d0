//! What stores keep: every record is a line of JSON that says its format and the oldest reader that may read it.
//!
//! The fixed part of a process ([`encode_spec`]) is written once, the moving part ([`encode_life`]) with each commit,
//! so that a commit writes little. Only zeros, empty lists and absent values are left out, never a default of the
//! rules: a default that changes later must not change what was recorded.
//!
//! A reader takes a record if `min_reader` is not above [`FORMAT`]; fields that it does not know are then passed over.
//! A writer raises `min_reader` whenever passing over what it adds would be wrong.
//!
//! A new field of a specification is never passed over, because a seal covers the whole specification. Whoever adds one
//! raises [`FORMAT`], and lets [`oldest_reader`] answer the new format for each specification that uses the field. Nodes
//! of older programs then neither claim such a process nor end it: stores of many machines keep it in a placement class
//! that names the reader. The store of one machine raises the version of its schema in the same change, so that an older
//! program does not open it.
//!
//! ```
//! use longhaul_domain::{AwakeTime, Capabilities, RandomBits, DecisionContext, Lineage, Process, ProcessId, ReportedSpec, Spec};
//! use longhaul_domain::{Timestamp, Work};
//! use longhaul_wire::record;
//!
//! let ctx = DecisionContext { now: Timestamp(0), awake: AwakeTime(0), chance: RandomBits(0), capabilities: Capabilities::ALL };
//! let spec = Spec::of(Work::Reported(ReportedSpec::default()));
//! let (process, _) = Process::submit(&ctx, ProcessId::new(uuid::Uuid::nil()), Lineage::default(), spec.into());
//! let again = record::decode(&record::encode_spec(&process), &record::encode_life(&process)).unwrap();
//! assert_eq!(again, process);
//! ```

mod command;
mod ending;
mod event;
mod life;
mod live_stats;
mod monitoring;
mod pending_action;
mod policy;
mod spec;

use longhaul_domain::{Event, InvalidText, LiveStats, PendingAction, Policy, Process, Spec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// The format that is written here, and the newest that is read.
pub const FORMAT: u32 = 2;

/// The format that every reader of a store knows: stores with records of this format have a layout that programs of
/// format 1 refuse to open. A record names its reader only if it needs a newer one.
pub const BASE_FORMAT: u32 = 2;

/// Why a record could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordDecodeError {
    /// It is no record, or parts of it are missing or make no sense.
    #[error("damaged record: {what}")]
    Damaged {
        /// What is wrong with it, without any of its values: they may be secrets.
        what: String,
    },
    /// A newer program wrote it, and says that this one must not read it.
    #[error("the record needs a reader of format {needs}, this one reads up to {reads}")]
    TooNew {
        /// The format that its reader must know.
        needs: u32,
        /// The newest format known here.
        reads: u32,
    },
}

impl RecordDecodeError {
    fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}

/// Returns the oldest format whose readers know every field that a specification uses.
#[must_use]
pub const fn oldest_reader(spec: &Spec) -> u32 {
    let _ = spec;
    BASE_FORMAT
}

/// The part of a process that is fixed at its submit: identity, place in its tree, and what was asked for.
#[must_use]
pub fn encode_spec(process: &Process) -> String {
    encode_spec_for(oldest_reader(&process.spec), process)
}

/// The same for readers of this format and newer ones.
#[must_use]
pub fn encode_spec_for(min_reader: u32, process: &Process) -> String {
    write(&spec::FixedRecord::from(process), min_reader)
}

/// What was asked for, without whose specification it is: equal texts mean equal specifications.
#[must_use]
pub fn encode_spec_alone(spec: &Spec) -> String {
    write(&spec::SpecRecord::from(spec), BASE_FORMAT)
}

/// The part of a process that its commits change.
#[must_use]
pub fn encode_life(process: &Process) -> String {
    write(&life::LifeRecord::from(process), BASE_FORMAT)
}

/// Puts the two parts of a process together again.
///
/// # Errors
/// [`RecordDecodeError`] if one of them cannot be read.
pub fn decode(spec: &str, life: &str) -> Result<Process, RecordDecodeError> {
    decode_up_to(FORMAT, spec, life)
}

/// The same by a reader of this format.
///
/// # Errors
/// [`RecordDecodeError`] if one of them cannot be read.
pub fn decode_up_to(format: u32, spec: &str, life: &str) -> Result<Process, RecordDecodeError> {
    let fixed: spec::FixedRecord = read("specification", spec, format)?;
    let life: life::LifeRecord = read("life", life, format)?;
    life.into_process(fixed)
}

/// One event of the log.
#[must_use]
pub fn encode_event(event: &Event) -> String {
    write(&event::EventRecord::from(event), BASE_FORMAT)
}

/// Reads what [`encode_event`] wrote.
///
/// # Errors
/// [`RecordDecodeError`] if it cannot be read.
pub fn decode_event(text: &str) -> Result<Event, RecordDecodeError> {
    read::<event::EventRecord>("event", text, FORMAT)?.try_into()
}

/// The latest facts about an attempt.
#[must_use]
pub fn encode_live_stats(live_stats: &LiveStats) -> String {
    write(&live_stats::LiveStatsRecord::from(live_stats), BASE_FORMAT)
}

/// Reads what [`encode_live_stats`] wrote.
///
/// # Errors
/// [`RecordDecodeError`] if it cannot be read.
pub fn decode_live_stats(text: &str) -> Result<LiveStats, RecordDecodeError> {
    read::<live_stats::LiveStatsRecord>("live stats", text, FORMAT)?.try_into()
}

/// The policy of the queues.
#[must_use]
pub fn encode_policy(policy: &Policy) -> String {
    write(&policy::PolicyRecord::from(policy), BASE_FORMAT)
}

/// Reads what [`encode_policy`] wrote.
///
/// # Errors
/// [`RecordDecodeError`] if it cannot be read.
pub fn decode_policy(text: &str) -> Result<Policy, RecordDecodeError> {
    read::<policy::PolicyRecord>("policy", text, FORMAT)?.try_into()
}

/// An order for an owner.
#[must_use]
pub fn encode_pending_action(pending_action: &PendingAction) -> String {
    write(&pending_action::PendingActionRecord::from(pending_action), BASE_FORMAT)
}

/// Reads what [`encode_pending_action`] wrote.
///
/// # Errors
/// [`RecordDecodeError`] if it cannot be read.
pub fn decode_pending_action(text: &str) -> Result<PendingAction, RecordDecodeError> {
    read::<pending_action::PendingActionRecord>("pending action", text, FORMAT)?.try_into()
}

/// A record that says by whom it may be read.
#[derive(Serialize, Deserialize)]
struct VersionedRecord<T> {
    format: u32,
    #[serde(default, skip_serializing_if = "is_first")]
    min_reader: Option<u32>,
    body: T,
}

/// What can be read of every record, however new.
#[derive(Deserialize)]
struct VersionStamp {
    #[serde(default)]
    min_reader: Option<u32>,
}

fn is_first(min_reader: &Option<u32>) -> bool {
    min_reader.is_none_or(|reader| reader <= BASE_FORMAT)
}

fn write<T: Serialize>(body: &T, min_reader: u32) -> String {
    let stamped = VersionedRecord { format: FORMAT.max(min_reader), min_reader: Some(min_reader), body };
    #[expect(
        clippy::expect_used,
        reason = "writing to memory cannot fail and every map here has text for keys"
    )]
    serde_json::to_string(&stamped).expect("a record can be written")
}

fn read<T: DeserializeOwned>(what: &'static str, text: &str, reads: u32) -> Result<T, RecordDecodeError> {
    match serde_json::from_str::<VersionedRecord<T>>(text) {
        Ok(stamped) => fitting(stamped.min_reader, reads).map(|()| stamped.body),
        Err(error) => {
            if let Ok(stamp) = serde_json::from_str::<VersionStamp>(text) {
                fitting(stamp.min_reader, reads)?;
            }
            // The error's own words may quote a value of the record.
            Err(RecordDecodeError::damaged(format!("the {what} does not fit at column {}", error.column())))
        }
    }
}

fn fitting(min_reader: Option<u32>, reads: u32) -> Result<(), RecordDecodeError> {
    match min_reader {
        Some(needs) if needs > reads => Err(RecordDecodeError::TooNew { needs, reads }),
        Some(_) | None => Ok(()),
    }
}

/// A span of time, exact to the nanosecond.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct DurationRecord {
    #[serde(default, skip_serializing_if = "is_zero")]
    s: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    ns: u32,
}

impl From<Duration> for DurationRecord {
    fn from(duration: Duration) -> Self {
        Self { s: duration.as_secs(), ns: duration.subsec_nanos() }
    }
}

impl TryFrom<DurationRecord> for Duration {
    type Error = RecordDecodeError;

    fn try_from(span: DurationRecord) -> Result<Self, RecordDecodeError> {
        if span.ns >= 1_000_000_000 {
            return Err(RecordDecodeError::damaged("a span with more than a second of nanoseconds"));
        }
        Ok(Self::new(span.s, span.ns))
    }
}

fn span(span: Option<DurationRecord>) -> Result<Option<Duration>, RecordDecodeError> {
    span.map(Duration::try_from).transpose()
}

fn name<T: FromStr<Err = InvalidText>>(text: &str) -> Result<T, RecordDecodeError> {
    text.parse().map_err(|invalid: InvalidText| RecordDecodeError::damaged(invalid.to_string()))
}

fn some_name<T: FromStr<Err = InvalidText>>(text: &Option<String>) -> Result<Option<T>, RecordDecodeError> {
    text.as_deref().map(name).transpose()
}

fn names<T: FromStr<Err = InvalidText>>(texts: &[String]) -> Result<Vec<T>, RecordDecodeError> {
    texts.iter().map(|text| name(text)).collect()
}

fn text<T: ToString>(name: &Option<T>) -> Option<String> {
    name.as_ref().map(ToString::to_string)
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
