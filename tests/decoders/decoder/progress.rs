//! How far work is, as its reporters say it.

use super::{Verdict, same, told};
use longhaul_domain::Progress;

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    let percent: f64 = told(text.trim().parse())?;
    same(|| Progress::from_percent(percent), |progress| Progress::from_percent(progress.percent()))?;
    let hundredths = Progress::from_percent(percent).map_or(0, Progress::hundredths);
    assert!(hundredths <= Progress::DONE.hundredths(), "more than everything is done");
    assert_eq!(Progress::from_hundredths(hundredths).hundredths(), hundredths);
    Ok(())
}
