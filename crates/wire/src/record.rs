//! Records in stores. Each record is a line of JSON that states its format and the oldest format whose readers may read
//! it.
//!
//! The fixed part of a process ([`encode_spec`]) is written one time. The changing part ([`encode_life`]) is written
//! with each commit. A commit therefore writes only a little data. Only zeros, empty lists and absent values are left
//! out. Defaults of the domain are always written, so that existing records keep their meaning if a default changes
//! later.
//!
//! A reader accepts a record if `min_reader` is at most [`FORMAT`], and ignores unknown fields. A writer raises
//! `min_reader` if a reader must not ignore the fields that the writer adds.
//!
//! A reader must not ignore new fields of a spec, because the launch signature covers the whole spec. A change that
//! adds a field must therefore do the following:
//! - Raise [`FORMAT`], and make [`oldest_reader`] return the new format for each spec that uses the field. Nodes with
//!   older programs then neither claim nor end such a process: shared stores put it into a placement class that names
//!   the reader.
//! - Document on the page about upgrades which processes an older program cannot read. The schema version of the local
//!   store stays the same: an older program refuses each record by itself. SQLite omits the record from lists, and the
//!   fs store does not open.
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

mod artifacts;
mod command;
mod ending;
mod event;
mod first_error;
mod life;
mod live_stats;
mod monitoring;
mod outcome;
mod pending_action;
mod policy;
mod spec;
mod test_report;

use longhaul_domain::{
    ArtifactList, CommandSpec, Event, InvalidText, LiveStats, PendingAction, Policy, Process,
    ProgressDetection, Spec, TestReporting,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// Newest format that this program reads. A record has the oldest format that contains all its fields.
pub const FORMAT: u32 = 3;

/// Format that every program that uses a store can read, because programs of format 1 refuse to open the current store
/// layout. A record has a `min_reader` only if it needs a reader of a newer format. The bytes of all other records, and
/// with them the launch signatures, are the same for programs of all formats.
pub const BASE_FORMAT: u32 = 2;

/// Reason why a record could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordDecodeError {
    /// The text is not a record, or parts of it are missing or invalid.
    #[error("damaged record: {what}")]
    Damaged {
        /// Description of the damage. It contains no values of the record, because they may be secrets.
        what: String,
    },
    /// A newer program wrote the record, and this program must not read it.
    #[error("the record requires a reader of format {needs}; this program reads formats up to {reads}")]
    TooNew {
        /// Format that a reader of the record must support.
        needs: u32,
        /// Newest format that this program reads.
        reads: u32,
    },
}

impl RecordDecodeError {
    fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}

/// Returns the oldest format that contains every field that a spec uses.
#[must_use]
pub fn oldest_reader(spec: &Spec) -> u32 {
    let uses_new_fields = |command: &CommandSpec| {
        command.runner.is_some()
            || !command.artifacts.is_empty()
            || command.tests != TestReporting::Detect
            || command.progress != ProgressDetection::Off
    };
    let is_new = spec.command().is_some_and(uses_new_fields) || spec.children_on_failure.is_some();
    if is_new { FORMAT } else { BASE_FORMAT }
}

/// Encodes the fixed part of a process, which does not change after its submission: identity, position in its tree, and
/// spec.
#[must_use]
pub fn encode_spec(process: &Process) -> String {
    encode_spec_for(oldest_reader(&process.spec), process)
}

/// Encodes the fixed part of a process like [`encode_spec`], but only for readers of format `min_reader` or newer.
#[must_use]
pub fn encode_spec_for(min_reader: u32, process: &Process) -> String {
    write(&spec::FixedRecord::from(process), min_reader)
}

/// Encodes a spec without its process. Two specs are equal if their texts are equal.
#[must_use]
pub fn encode_spec_alone(spec: &Spec) -> String {
    write(&spec::SpecRecord::from(spec), oldest_reader(spec))
}

/// Encodes the changing part of a process, which is written with each commit.
#[must_use]
pub fn encode_life(process: &Process) -> String {
    write(&life::LifeRecord::from(process), BASE_FORMAT)
}

/// Decodes a process from its fixed part and its changing part.
///
/// # Errors
/// Returns [`RecordDecodeError`] if one of the parts cannot be read.
pub fn decode(spec: &str, life: &str) -> Result<Process, RecordDecodeError> {
    decode_up_to(FORMAT, spec, life)
}

/// Decodes a process in the way of a program that supports only formats up to `format`.
///
/// # Errors
/// Returns [`RecordDecodeError`] if one of the parts cannot be read.
pub fn decode_up_to(format: u32, spec: &str, life: &str) -> Result<Process, RecordDecodeError> {
    let fixed: spec::FixedRecord = read("specification", spec, format)?;
    let life: life::LifeRecord = read("life", life, format)?;
    life.into_process(fixed)
}

/// Encodes the artifact list of an attempt.
#[must_use]
pub fn encode_artifacts(list: &ArtifactList) -> String {
    write(&artifacts::ArtifactListRecord::from(list), BASE_FORMAT)
}

/// Decodes the artifact list of an attempt.
///
/// # Errors
/// Returns [`RecordDecodeError`] if the text is not an artifact list.
pub fn decode_artifacts(text: &str) -> Result<ArtifactList, RecordDecodeError> {
    read::<artifacts::ArtifactListRecord>("artifact list", text, FORMAT)?.try_into()
}

/// Encodes one event of the event log.
#[must_use]
pub fn encode_event(event: &Event) -> String {
    write(&event::EventRecord::from(event), BASE_FORMAT)
}

/// Decodes an event.
///
/// # Errors
/// Returns [`RecordDecodeError`] if the text cannot be read.
pub fn decode_event(text: &str) -> Result<Event, RecordDecodeError> {
    read::<event::EventRecord>("event", text, FORMAT)?.try_into()
}

/// Encodes the live stats of an attempt.
#[must_use]
pub fn encode_live_stats(live_stats: &LiveStats) -> String {
    write(&live_stats::LiveStatsRecord::from(live_stats), BASE_FORMAT)
}

/// Decodes live stats.
///
/// # Errors
/// Returns [`RecordDecodeError`] if the text cannot be read.
pub fn decode_live_stats(text: &str) -> Result<LiveStats, RecordDecodeError> {
    read::<live_stats::LiveStatsRecord>("live stats", text, FORMAT)?.try_into()
}

/// Encodes the policy of the queues.
#[must_use]
pub fn encode_policy(policy: &Policy) -> String {
    write(&policy::PolicyRecord::from(policy), BASE_FORMAT)
}

/// Decodes a policy.
///
/// # Errors
/// Returns [`RecordDecodeError`] if the text cannot be read.
pub fn decode_policy(text: &str) -> Result<Policy, RecordDecodeError> {
    read::<policy::PolicyRecord>("policy", text, FORMAT)?.try_into()
}

/// Encodes a pending action, which waits for the node that owns the process.
#[must_use]
pub fn encode_pending_action(pending_action: &PendingAction) -> String {
    write(&pending_action::PendingActionRecord::from(pending_action), BASE_FORMAT)
}

/// Decodes a pending action.
///
/// # Errors
/// Returns [`RecordDecodeError`] if the text cannot be read.
pub fn decode_pending_action(text: &str) -> Result<PendingAction, RecordDecodeError> {
    read::<pending_action::PendingActionRecord>("pending action", text, FORMAT)?.try_into()
}

/// Record with its format, and with the oldest format whose readers may read it.
#[derive(Serialize, Deserialize)]
struct VersionedRecord<T> {
    format: u32,
    #[serde(default, skip_serializing_if = "is_first")]
    min_reader: Option<u32>,
    body: T,
}

/// The part of a record that programs of every format can read.
#[derive(Deserialize)]
struct VersionStamp {
    #[serde(default)]
    min_reader: Option<u32>,
}

fn is_first(min_reader: &Option<u32>) -> bool {
    min_reader.is_none_or(|reader| reader <= BASE_FORMAT)
}

fn write<T: Serialize>(body: &T, min_reader: u32) -> String {
    let stamped = VersionedRecord { format: BASE_FORMAT.max(min_reader), min_reader: Some(min_reader), body };
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
            // The message of the JSON error is omitted, because it may quote a value of the record.
            Err(RecordDecodeError::damaged(format!(
                "the {what} has an unexpected structure at column {}",
                error.column()
            )))
        }
    }
}

fn fitting(min_reader: Option<u32>, reads: u32) -> Result<(), RecordDecodeError> {
    match min_reader {
        Some(needs) if needs > reads => Err(RecordDecodeError::TooNew { needs, reads }),
        Some(_) | None => Ok(()),
    }
}

/// Duration with a precision of one nanosecond.
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
            return Err(RecordDecodeError::damaged("a duration with more than one second of nanoseconds"));
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
