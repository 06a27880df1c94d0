//! Measures the speed of the error search. Run with `cargo test --release -p longhaul-insight --test failure_speed --
//! --ignored --nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement fails loudly and prints its result"
)]

use longhaul_insight::failure::{Analyzer, RuleSet, Stream};
use std::time::{Duration, Instant};

const ORDINARY: &str = "\
2026-11-24T04:49:31.403Z INFO  server::http: request GET /api/v1/users/1234 answered 200 in 12.4 ms, 5123 bytes\n\
2026-11-24T04:49:31.404Z DEBUG server::cache: lookup of key user:1234 took 0.3 ms, hit\n\
127.0.0.1 - - [24/Nov/2026:04:49:31 +0000] \"GET /static/app.css HTTP/1.1\" 200 5123 \"-\" \"Mozilla/5.0\"\n\
   Compiling serde v1.0.229\n\
epoch 3/10 step 1200/5000 loss=0.2345 lr=0.0001 throughput=1234 samples/s\n\
{\"level\":\"info\",\"time\":1700000000,\"msg\":\"job 17 finished\",\"duration\":12.5,\"queue\":\"default\"}\n\
Downloading https://registry.example.com/packages/left-pad-1.3.0.tgz (12 kB)\n\
test parser::tests::reads_all_lines ... ok\n";

const NOISY: &str = "\
2026-11-24T04:49:31.403Z ERROR server::http: request GET /api/v1/users/1234 failed: Connection refused\n\
{\"level\":\"info\",\"msg\":\"done\",\"error\":null,\"errors\":[]}\n\
2026-11-24T04:49:31.404Z WARN  server::db: Error: retry 1 of 3, address already in use\n\
src/main.rs:12:5: warning: unused variable, no error: here\n\
Exception handling is enabled\n";

/// Returns the processor time of this thread. If the system does not report it, returns the elapsed time.
fn spent(start: Instant) -> Duration {
    let stated = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = stated.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn measure(name: &str, lines: &str, rules: &std::sync::Arc<RuleSet>) -> f64 {
    let chunk = lines.repeat(64 * 1024 / lines.len());
    let total = 200_000_000_usize;
    let mut analyzer = Analyzer::new(std::sync::Arc::clone(rules));
    let clock = Instant::now();
    let (start, mut offset) = (spent(clock), 0);
    while offset < total {
        analyzer.push(Stream::Stdout, u64::try_from(offset).unwrap(), chunk.as_bytes());
        offset += chunk.len();
    }
    let found = analyzer.finish().len();
    #[expect(clippy::cast_precision_loss, reason = "the speed is only shown and compared roughly")]
    let speed = offset as f64 / 1e6 / (spent(clock) - start).as_secs_f64();
    println!("{name}: {speed:.0} MB/s, {found} findings");
    speed
}

#[test]
#[ignore = "measures the speed of a release build"]
fn ordinary_lines_are_searched_with_300_megabytes_per_second() {
    let rules = RuleSet::builtin();
    measure("lines with words of errors", NOISY, &rules);
    assert!(measure("ordinary lines", ORDINARY, &rules) >= 300.0);
}
