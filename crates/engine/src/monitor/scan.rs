//! Reads the output of an attempt line by line while it is written.

use super::lines::{LineFeed, OutputLine};
use crate::engine::EngineShared;
use longhaul_domain::{AwakeTime, Deadline};
use longhaul_ports::{AttemptKey, OutputError, OutputRead};
use std::time::Duration;
use tokio::sync::watch;

/// Maximum number of bytes in one read.
const PAGE: u32 = 64 * 1024;
/// Time without new output after which an unfinished line is shown.
const UNFINISHED: Duration = Duration::from_millis(200);
/// Delay before the output is read again if it was missing, or if it was reported as grown but had not grown.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// Maximum time to wait for the rest of the output after an exit.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_millis(300);

/// Calls `show` with each line from an offset on. Stops when `show` returns false or when the output of an ended
/// attempt has been read completely.
///
/// `over` contains the total output size in bytes as soon as the attempt has ended.
pub(super) async fn scan(
    core: &EngineShared,
    key: AttemptKey,
    from: u64,
    mut over: watch::Receiver<Option<u64>>,
    mut show: impl FnMut(OutputLine<'_>) -> bool,
) {
    let clock = &core.parts.clock;
    let mut scan = OutputScan { next: from, feed: LineFeed::default(), goes_on: true, woken: false };
    let mut until: Option<AwakeTime> = None;
    while scan.goes_on {
        if scan.read(core, key, &mut show).await {
            continue;
        }
        if let Some(written) = *over.borrow_and_update() {
            let until = *until.get_or_insert_with(|| clock.awake().plus(OUTPUT_DRAIN_TIMEOUT));
            if scan.next >= written || until <= clock.awake() {
                return scan.show_unfinished(&mut show);
            }
        }
        let soon = clock.awake().plus(RETRY_DELAY);
        tokio::select! {
            biased;
            changed = over.changed(), if until.is_none() => {
                if changed.is_err() {
                    return;
                }
            }
            () = wait_for_growth(core, key, scan.next), if !scan.woken => scan.woken = true,
            () = clock.sleep_until(Deadline::Awake(soon)), if scan.woken => scan.woken = false,
            () = clock.sleep_until(Deadline::Awake(clock.awake().plus(UNFINISHED))), if scan.feed.waits() => {
                scan.show_unfinished(&mut show);
            }
            () = clock.sleep_until(Deadline::Awake(until.unwrap_or(soon))), if until.is_some() => {}
        }
    }
}

struct OutputScan {
    next: u64,
    feed: LineFeed,
    goes_on: bool,
    /// True from a notification of new output until the output is read again.
    woken: bool,
}

impl OutputScan {
    /// Reads one page. Returns false if there was no new output.
    async fn read(
        &mut self,
        core: &EngineShared,
        key: AttemptKey,
        show: &mut impl FnMut(OutputLine<'_>) -> bool,
    ) -> bool {
        let page = match core
            .parts
            .output
            .read(key, OutputRead { from: self.next, limit: PAGE, only: None })
            .await
        {
            Ok(page) if page.next > self.next => page,
            Ok(_) | Err(OutputError::Missing { .. }) => return false,
            Err(error) => {
                tracing::debug!(id = %key.id, %error, "could not read the output of an attempt; retrying");
                return false;
            }
        };
        if page.gap > 0 {
            self.feed.interrupt();
        }
        let goes_on = &mut self.goes_on;
        for chunk in &page.chunks {
            self.feed.take(chunk, |line| *goes_on = *goes_on && show(line));
        }
        self.next = page.next;
        self.woken = false;
        true
    }

    fn show_unfinished(&mut self, show: &mut impl FnMut(OutputLine<'_>) -> bool) {
        let goes_on = &mut self.goes_on;
        self.feed.show_unfinished(|line| *goes_on = *goes_on && show(line));
    }
}

/// Waits until the output may have grown. If growth cannot be watched, returns after [`RETRY_DELAY`].
async fn wait_for_growth(core: &EngineShared, key: AttemptKey, beyond: u64) {
    if core.parts.output.grown(key, beyond).await.is_err() {
        let again = core.parts.clock.awake().plus(RETRY_DELAY);
        core.parts.clock.sleep_until(Deadline::Awake(again)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fixture, command, running};
    use longhaul_ports::OutputSource;

    #[tokio::test(start_paused = true)]
    async fn output_of_an_ended_attempt_is_awaited_for_a_short_time_and_complete_output_not_at_all() {
        for (written, waited) in [(9, Duration::ZERO), (8, Duration::ZERO), (20, OUTPUT_DRAIN_TIMEOUT)] {
            let fixture = Fixture::new(false).await;
            let core = &fixture.engine.core;
            let stored = running(1, command());
            let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
            fixture.spawner.output().write(key, OutputSource::Stdout, b"one\ntwo 2");
            let (_over, told) = watch::channel(Some(written));
            let mut lines = Vec::new();
            let began = core.parts.clock.awake();
            let scanned = scan(core, key, 0, told, |line| {
                lines.push(line.text().into_owned());
                true
            });
            fixture.clock.run_until(Duration::from_secs(60), scanned).await.expect("it ends");
            assert_eq!(core.parts.clock.awake().since(began), waited, "{written}");
            assert_eq!(lines, ["one", "two 2"]);
        }
    }
}
