//! The metrics of a manager for one scrape.

use crate::api::Api;
use crate::error::ApiError;
use crate::metrics::live_gauge::{KeyGauge, LiveGauge};
use crate::metrics::text::MetricsText;
use crate::metrics::{EventCounters, Metrics};
use longhaul_domain::{SlotKey, Status};
use longhaul_wire::api::PROTOCOL;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

/// Maximum number of keys that have their own samples. The counts of all further keys are added up.
const MAX_KEYS: usize = 100;
/// Label of the sample that sums up the keys without their own sample.
const OTHER: &str = "other";

impl Api {
    /// Returns the metrics of this manager in the Prometheus text format 0.0.4.
    ///
    /// # Errors
    /// Returns an error if the store does not respond.
    pub async fn metrics_text(&self) -> Result<String, ApiError> {
        // If the store does not respond, the scrape must fail. Otherwise, the metrics would look like the metrics of an
        // idle manager.
        self.metrics.catch_up(&self.engine).await?;
        let mut text = MetricsText::default();
        self.about_manager(&mut text);
        present(&mut text, &self.metrics.roll());
        counted(&mut text, &self.metrics.tally(), self.metrics.late_detections());
        self.metrics.about_store(&mut text);
        text.counter("longhaul_pruned_total", "Records that were ever pruned");
        text.sample("longhaul_pruned_total", &[], self.engine.pruned_total());
        Ok(text.finish())
    }

    fn about_manager(&self, text: &mut MetricsText) {
        let protocol = PROTOCOL.to_string();
        let labels = [("version", self.about.version.as_str()), ("protocol", protocol.as_str())];
        text.gauge("longhaul_build_info", "Who answers");
        text.sample("longhaul_build_info", &labels, 1);
        let inner = &self.metrics.inner;
        let begun = inner.begun_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        text.gauge("process_start_time_seconds", "Start time of the manager; counters start at this time");
        text.sample("process_start_time_seconds", &[], begun.as_secs_f64());
        text.gauge("longhaul_uptime_seconds", "Time since the start of the manager");
        text.sample("longhaul_uptime_seconds", &[], inner.begun.elapsed().as_secs_f64());
        if let Some(bytes) = resident() {
            text.gauge("process_resident_memory_bytes", "Resident memory of the manager itself");
            text.sample("process_resident_memory_bytes", &[], bytes);
        }
    }
}

impl Metrics {
    fn about_store(&self, text: &mut MetricsText) {
        let name = "longhaul_store_write_seconds";
        text.histogram(name, "Time of the store to make a write durable");
        for (operation, histogram) in ["submit", "claim", "commit"].into_iter().zip(&self.writes()) {
            text.spans(name, &[("operation", operation)], histogram);
        }
    }
}

/// Writes the gauges: the current numbers of processes.
fn present(text: &mut MetricsText, roll: &LiveGauge) {
    if !roll.is_counted() {
        return;
    }
    text.gauge("longhaul_processes", "Processes that have not ended, by status");
    for status in Status::ALL.into_iter().filter(|status| !status.is_ended()) {
        text.sample("longhaul_processes", &[("status", status.as_str())], roll.of_status(status));
    }
    let queues = by_key(roll.lines());
    text.gauge("longhaul_queue_waiting", "Processes waiting for a slot, by concurrency key");
    for (key, KeyGauge { waiting, .. }) in &queues {
        text.sample("longhaul_queue_waiting", &[("key", key)], waiting);
    }
    text.gauge("longhaul_queue_running", "Processes holding a slot, by concurrency key");
    for (key, KeyGauge { running, .. }) in &queues {
        text.sample("longhaul_queue_running", &[("key", key)], running);
    }
}

/// Prepares the counts by key: one entry for each of the [`MAX_KEYS`] busiest keys, and one sum for all other keys.
fn by_key<'a>(lines: impl Iterator<Item = (Option<&'a SlotKey>, KeyGauge)>) -> BTreeMap<&'a str, KeyGauge> {
    let mut all: Vec<_> = lines.collect();
    all.sort_by_key(|(_, line)| Reverse(line.waiting + line.running));
    let mut sums: BTreeMap<&str, KeyGauge> = BTreeMap::new();
    for (place, (key, line)) in all.into_iter().enumerate() {
        let own = key.map_or("", SlotKey::as_str);
        let sum = sums.entry(if place < MAX_KEYS { own } else { OTHER }).or_default();
        sum.waiting += line.waiting;
        sum.running += line.running;
    }
    sums
}

/// Writes the counters and histograms that are computed from events.
fn counted(text: &mut MetricsText, tally: &EventCounters, late_detections: u64) {
    text.counter("longhaul_launches_total", "Accepted processes");
    text.sample("longhaul_launches_total", &[], tally.launches);
    text.counter("longhaul_processes_ended_total", "Ended processes, by status");
    for (status, count) in &tally.endings {
        text.sample("longhaul_processes_ended_total", &[("status", status.as_str())], count);
    }
    text.counter("longhaul_retries_total", "Scheduled retries");
    text.sample("longhaul_retries_total", &[], tally.retries);
    text.counter("longhaul_output_bytes_total", "Bytes of output of ended attempts");
    text.sample("longhaul_output_bytes_total", &[], tally.output_bytes);
    text.counter("longhaul_late_detections_total", "Exits that were recorded later than detection.deadline");
    text.sample("longhaul_late_detections_total", &[], late_detections);
    text.counter("longhaul_event_gaps_total", "Number of gaps in the events, which make counters too low");
    text.sample("longhaul_event_gaps_total", &[], tally.gaps);
    for (name, help, histogram) in [
        (
            "longhaul_queue_wait_seconds",
            "Time from the moment a process could be claimed to its claim",
            &tally.queue_wait,
        ),
        ("longhaul_spawn_seconds", "Time from the claim to the start of the command", &tally.spawn),
        (
            "longhaul_process_duration_seconds",
            "Time from the start of an attempt to its end",
            &tally.duration,
        ),
        ("longhaul_exit_detection_seconds", "Time from an exit to its record", &tally.detection),
    ] {
        text.histogram(name, help);
        text.spans(name, &[], histogram);
    }
}

/// Returns the resident memory of this program in bytes, or `None` if the system does not report it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_after_the_hundred_busiest_are_reported_together() {
        let keys: Vec<SlotKey> =
            (0..150).map(|number| SlotKey::new(&format!("key-{number}")).unwrap()).collect();
        let sums =
            by_key(keys.iter().zip(0..).map(|(key, waiting)| (Some(key), KeyGauge { waiting, running: 1 })));
        assert_eq!(sums.len(), MAX_KEYS + 1);
        assert_eq!(sums["key-149"], KeyGauge { waiting: 149, running: 1 });
        assert_eq!(sums[OTHER], KeyGauge { waiting: (0..50).sum(), running: 50 });
        assert!(!sums.contains_key("key-49"));
    }

    #[test]
    fn resident_memory_is_more_than_nothing() {
        assert!(resident().unwrap() > 64 * 1024);
    }
}
