//! Writer for the Prometheus text format 0.0.4.

use crate::metrics::histogram::Histogram;
use std::fmt::{Display, Write};

/// Prometheus text with the metric families that have been written so far.
#[derive(Debug, Default)]
pub(super) struct MetricsText {
    out: String,
}

impl MetricsText {
    pub(super) fn counter(&mut self, name: &str, help: &str) {
        self.family(name, "counter", help);
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, "gauge", help);
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str) {
        self.family(name, "histogram", help);
    }

    /// Writes one sample of the metric family that was started last.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.out.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            self.write(format_args!("{before}{label}=\"{}\"", escaped(text)));
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        self.write(format_args!(" {value}\n"));
    }

    /// Writes all samples of a histogram.
    pub(super) fn spans(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        let mut with_bound = |bound: &str, count: u64| {
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
            self.sample(&bucket, &labels, count);
        };
        for (bound, count) in histogram.buckets() {
            with_bound(&bound.to_string(), count);
        }
        with_bound("+Inf", histogram.count());
        self.sample(&format!("{name}_sum"), labels, histogram.sum());
        self.sample(&format!("{name}_count"), labels, histogram.count());
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = self.out.write_fmt(text);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn samples_are_written_as_the_format_wants_them() {
        let mut text = MetricsText::default();
        text.gauge("a_b", "back\\slash and\nline");
        text.sample("a_b", &[], 1.5);
        text.sample("a_b", &[("x", "say \"hi\"\\\n"), ("y", "")], 7_u64);
        assert_eq!(
            text.finish(),
            "# HELP a_b back\\\\slash and\\nline\n# TYPE a_b gauge\na_b 1.5\na_b{x=\"say \\\"hi\\\"\\\\\\n\",y=\"\"} 7\n"
        );
    }

    #[test]
    fn histogram_ends_with_infinity_sum_and_count() {
        let mut histogram = Histogram::of_latency();
        histogram.take(Duration::from_millis(2));
        histogram.take(Duration::from_secs(60));
        let mut text = MetricsText::default();
        text.histogram("h", "spans");
        text.spans("h", &[("k", "v")], &histogram);
        let text = text.finish();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "# HELP h spans",
                "# TYPE h histogram",
                "h_bucket{k=\"v\",le=\"0.001\"} 0",
                "h_bucket{k=\"v\",le=\"0.0025\"} 1",
            ]
        );
        let end = [
            "h_bucket{k=\"v\",le=\"10\"} 1",
            "h_bucket{k=\"v\",le=\"+Inf\"} 2",
            "h_sum{k=\"v\"} 60.002",
            "h_count{k=\"v\"} 2",
        ];
        assert_eq!(lines[lines.len() - 4..], end);
    }
}
