//! Decodes progress values, which are given as percentages.

use super::{Verdict, same, told};
use longhaul_domain::Progress;

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let text = std::str::from_utf8(bytes).map_err(|_| "the input is not text".to_owned())?;
    let percent: f64 = told(text.trim().parse())?;
    same(|| Progress::from_percent(percent), |progress| Progress::from_percent(progress.percent()))?;
    let hundredths = Progress::from_percent(percent).map_or(0, Progress::hundredths);
    assert!(hundredths <= Progress::DONE.hundredths(), "the progress exceeds 100 percent");
    assert_eq!(Progress::from_hundredths(hundredths).hundredths(), hundredths);
    Ok(())
}
