use super::{RecordDecodeError, is_zero, some_name, text};
use longhaul_domain::{LiveStats, Progress, ProgressRate, Timestamp};
use serde::{Deserialize, Serialize};

/// Progress is in hundredths of a percent.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LiveStatsRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_beat: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pace: Option<ProgressRateRecord>,
    #[serde(default, skip_serializing_if = "is_zero")]
    output_bytes: u64,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct ProgressRateRecord {
    first_at: i64,
    first: u16,
    last_at: i64,
    last: u16,
}

impl From<&LiveStats> for LiveStatsRecord {
    fn from(live_stats: &LiveStats) -> Self {
        Self {
            progress: live_stats.progress.map(Progress::hundredths),
            stage: text(&live_stats.stage),
            last_beat: live_stats.last_beat.map(|at| at.0),
            pace: live_stats.pace.map(|pace| ProgressRateRecord {
                first_at: pace.first_at.0,
                first: pace.first.hundredths(),
                last_at: pace.last_at.0,
                last: pace.last.hundredths(),
            }),
            output_bytes: live_stats.output_bytes,
        }
    }
}

impl TryFrom<LiveStatsRecord> for LiveStats {
    type Error = RecordDecodeError;

    fn try_from(record: LiveStatsRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            progress: record.progress.map(Progress::from_hundredths),
            stage: some_name(&record.stage)?,
            last_beat: record.last_beat.map(Timestamp),
            pace: record.pace.map(|pace| ProgressRate {
                first_at: Timestamp(pace.first_at),
                first: Progress::from_hundredths(pace.first),
                last_at: Timestamp(pace.last_at),
                last: Progress::from_hundredths(pace.last),
            }),
            output_bytes: record.output_bytes,
        })
    }
}
