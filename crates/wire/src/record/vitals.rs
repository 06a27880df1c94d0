use super::{BrokenRecord, is_zero, some_name, text};
use longhaul_domain::{Pace, Progress, Timestamp, Vitals};
use serde::{Deserialize, Serialize};

/// Progress is in hundredths of a percent.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) struct VitalsRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_beat: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pace: Option<PaceRecord>,
    #[serde(default, skip_serializing_if = "is_zero")]
    output_bytes: u64,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct PaceRecord {
    first_at: i64,
    first: u16,
    last_at: i64,
    last: u16,
}

impl From<&Vitals> for VitalsRecord {
    fn from(vitals: &Vitals) -> Self {
        Self {
            progress: vitals.progress.map(Progress::hundredths),
            stage: text(&vitals.stage),
            last_beat: vitals.last_beat.map(|at| at.0),
            pace: vitals.pace.map(|pace| PaceRecord {
                first_at: pace.first_at.0,
                first: pace.first.hundredths(),
                last_at: pace.last_at.0,
                last: pace.last.hundredths(),
            }),
            output_bytes: vitals.output_bytes,
        }
    }
}

impl TryFrom<VitalsRecord> for Vitals {
    type Error = BrokenRecord;

    fn try_from(record: VitalsRecord) -> Result<Self, BrokenRecord> {
        Ok(Self {
            progress: record.progress.map(Progress::from_hundredths),
            stage: some_name(&record.stage)?,
            last_beat: record.last_beat.map(Timestamp),
            pace: record.pace.map(|pace| Pace {
                first_at: Timestamp(pace.first_at),
                first: Progress::from_hundredths(pace.first),
                last_at: Timestamp(pace.last_at),
                last: Progress::from_hundredths(pace.last),
            }),
            output_bytes: record.output_bytes,
        })
    }
}
