use super::test_report::TestTallyRecord;
use super::{DurationRecord, RecordDecodeError, is_zero, some_name, text};
use longhaul_domain::{LiveStats, Progress, ProgressRate, ProgressSource, ReportedEta, Timestamp};
use serde::{Deserialize, Serialize};

/// Live stats in a record. Progress is in hundredths of a percent.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LiveStatsRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<u16>,
    #[serde(default, skip_serializing_if = "is_zero")]
    progress_source: ProgressSourceRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "last_beat")]
    last_heartbeat: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "pace")]
    progress_rate: Option<ProgressRateRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reported_eta: Option<ReportedEtaRecord>,
    #[serde(default, skip_serializing_if = "is_zero")]
    output_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tests: Option<TestTallyRecord>,
    #[serde(default, skip_serializing_if = "is_zero")]
    reports_input: bool,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct ProgressRateRecord {
    first_at: i64,
    first: u16,
    last_at: i64,
    last: u16,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct ReportedEtaRecord {
    at: i64,
    remaining: DurationRecord,
    #[serde(default, skip_serializing_if = "is_zero")]
    source: ProgressSourceRecord,
}

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProgressSourceRecord {
    #[default]
    Worker,
    Output,
    History,
}

impl From<ProgressSource> for ProgressSourceRecord {
    fn from(source: ProgressSource) -> Self {
        match source {
            ProgressSource::Worker => Self::Worker,
            ProgressSource::Output => Self::Output,
            ProgressSource::History => Self::History,
        }
    }
}

impl From<ProgressSourceRecord> for ProgressSource {
    fn from(record: ProgressSourceRecord) -> Self {
        match record {
            ProgressSourceRecord::Worker => Self::Worker,
            ProgressSourceRecord::Output => Self::Output,
            ProgressSourceRecord::History => Self::History,
        }
    }
}

impl From<&LiveStats> for LiveStatsRecord {
    fn from(live_stats: &LiveStats) -> Self {
        Self {
            progress: live_stats.progress.map(Progress::hundredths),
            progress_source: live_stats.progress_source.into(),
            stage: text(&live_stats.stage),
            last_heartbeat: live_stats.last_heartbeat.map(|at| at.0),
            progress_rate: live_stats.progress_rate.map(|progress_rate| ProgressRateRecord {
                first_at: progress_rate.first_at.0,
                first: progress_rate.first.hundredths(),
                last_at: progress_rate.last_at.0,
                last: progress_rate.last.hundredths(),
            }),
            reported_eta: live_stats.reported_eta.map(|eta| ReportedEtaRecord {
                at: eta.at.0,
                remaining: eta.remaining.into(),
                source: eta.source.into(),
            }),
            output_bytes: live_stats.output_bytes,
            tests: live_stats.tests.map(Into::into),
            reports_input: live_stats.reports_input,
        }
    }
}

impl TryFrom<LiveStatsRecord> for LiveStats {
    type Error = RecordDecodeError;

    fn try_from(record: LiveStatsRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            progress: record.progress.map(Progress::from_hundredths),
            progress_source: record.progress_source.into(),
            stage: some_name(&record.stage)?,
            last_heartbeat: record.last_heartbeat.map(Timestamp),
            progress_rate: record.progress_rate.map(|progress_rate| ProgressRate {
                first_at: Timestamp(progress_rate.first_at),
                first: Progress::from_hundredths(progress_rate.first),
                last_at: Timestamp(progress_rate.last_at),
                last: Progress::from_hundredths(progress_rate.last),
            }),
            reported_eta: record
                .reported_eta
                .map(|eta| {
                    Ok::<_, RecordDecodeError>(ReportedEta {
                        at: Timestamp(eta.at),
                        remaining: eta.remaining.try_into()?,
                        source: eta.source.into(),
                    })
                })
                .transpose()?,
            output_bytes: record.output_bytes,
            tests: record.tests.map(Into::into),
            reports_input: record.reports_input,
        })
    }
}
