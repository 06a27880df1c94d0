//! Histograms of durations.

use std::time::Duration;

/// Histogram of durations. The bucket bounds are in seconds.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// Number of values in each bucket. An additional last bucket counts the values above all bounds.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// Creates a histogram for operations that should take milliseconds.
    pub(super) fn of_latency() -> Self {
        Self::with(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
    }

    /// Creates a histogram for waiting times.
    pub(super) fn of_waiting() -> Self {
        Self::with(&[0.005, 0.05, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0])
    }

    /// Creates a histogram for the durations of attempts.
    pub(super) fn of_work() -> Self {
        Self::with(&[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0])
    }

    fn with(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    pub(super) fn take(&mut self, span: Duration) {
        let seconds = span.as_secs_f64();
        self.sum += seconds;
        let place = self.bounds.iter().take_while(|bound| seconds > **bound).count();
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
    }

    /// Returns each bound in seconds, with the number of values that are less than or equal to this bound.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut sum = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            sum += count;
            (*bound, sum)
        })
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the sum of all values in seconds.
    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_contains_values_up_to_its_bound() {
        let mut histogram = Histogram::with(&[0.1, 1.0]);
        for millis in [50, 100, 101, 1_000, 5_000] {
            histogram.take(Duration::from_millis(millis));
        }
        assert_eq!(histogram.buckets().collect::<Vec<_>>(), [(0.1, 2), (1.0, 4)]);
        assert_eq!(histogram.count(), 5);
        assert!((histogram.sum() - 6.251).abs() < 1e-9);
    }
}
