//! Repeated measurements of one value.

use std::time::Duration;

/// Measured values in milliseconds, or in another unit that the caller chooses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn add_span(&mut self, span: Duration) {
        self.add(span.as_secs_f64() * 1e3);
    }

    /// Returns the median of the values.
    pub(crate) fn median(&self) -> Result<f64, &'static str> {
        self.percentile(50)
    }

    /// Returns the percentile: the smallest value that is not exceeded by `percent` percent of the values.
    pub(crate) fn percentile(&self, percent: usize) -> Result<f64, &'static str> {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        let place = (values.len() * percent).div_ceil(100).max(1) - 1;
        values.get(place).copied().ok_or("nothing was measured")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sample = Sample((1..=200).rev().map(f64::from).collect());
        assert_eq!(sample.median(), Ok(100.0));
        assert_eq!(sample.percentile(99), Ok(198.0));
        assert_eq!(sample.percentile(100), Ok(200.0));
        assert_eq!(Sample(vec![7.0]).percentile(99), Ok(7.0));
        assert!(Sample::default().median().is_err());
    }
}
