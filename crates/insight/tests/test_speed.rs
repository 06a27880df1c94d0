//! Measures the speed of the test result parsers. Run with `cargo test --release -p longhaul-insight --test test_speed
//! -- --ignored --nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement fails loudly and prints its result"
)]

use longhaul_insight::test_run::{Framework, TestCollector, TestSource, parser_of};
use std::path::Path;
use std::time::{Duration, Instant};

/// Returns the processor time of this thread. If the system does not report it, returns the elapsed time.
fn spent(start: Instant) -> Duration {
    let stated = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = stated.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn measure(name: &str, source: TestSource, framework: Option<Framework>, parts: [&str; 3]) -> f64 {
    let [start, repeated, end] = parts;
    let chunk = repeated.repeat((64 * 1024 / repeated.len()).max(1));
    let (mut parser, mut collector) = (parser_of(source, framework), TestCollector::new(framework));
    let mut emit = |event| collector.add(source, &event);
    let clock = Instant::now();
    let (begin, mut read) = (spent(clock), 0);
    parser.push(start.as_bytes(), &mut emit);
    while read < 50_000_000 {
        parser.push(chunk.as_bytes(), &mut emit);
        read += chunk.len();
    }
    parser.push(end.as_bytes(), &mut emit);
    parser.finish(&mut emit);
    #[expect(clippy::cast_precision_loss, reason = "the speed is only shown and compared roughly")]
    let speed = read as f64 / 1e6 / (spent(clock) - begin).as_secs_f64();
    let (counts, held) = (collector.counts(), collector.held_bytes());
    println!(
        "{name}: {speed:.0} MB/s, {} tests, {} failures, {held} bytes held",
        counts.total,
        counts.failures()
    );
    speed
}

/// Returns the content of a captured report.
fn capture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tests").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Splits a report before the first occurrence of `from` and before the last occurrence of `to`.
fn split<'a>(report: &'a str, from: &str, to: &str) -> [&'a str; 3] {
    let (start, end) = (report.find(from).unwrap(), report.rfind(to).unwrap());
    [&report[..start], &report[start..end], &report[end..]]
}

#[test]
#[ignore = "measures the speed of a release build"]
fn parsers_read_20_megabytes_per_second() {
    let whole = |text: &'static str| ["", text, ""];
    let (xml, surefire) = (capture("pytest/more.xml"), capture("nextest/retries.xml"));
    let (jsonl, go) = (capture("pytest/more.jsonl"), capture("go/report.json"));
    let (jest, vitest) = (capture("jest/report.json"), capture("vitest/report.json"));
    let passed = "<testcase classname=\"tests.test_login\" name=\"test_par[1]\" time=\"0.001\" />";
    let suite = ["<testsuites><testsuite name=\"pytest\">", passed, "</testsuite></testsuites>"];
    let node = capture("tap/node.tap");
    let (pytest, cargo, nextest) =
        (capture("pytest/more.txt"), capture("cargo/plain.txt"), capture("nextest/plain.txt"));
    let verbose = "tests/test_login.py::test_par[1] PASSED                                  [ 33%]\n";
    let speeds = [
        measure("JUnit, passed tests", TestSource::Junit, None, suite),
        measure(
            "JUnit of pytest, most failed",
            TestSource::Junit,
            None,
            split(&xml, "<testcase ", "</testsuite>"),
        ),
        measure(
            "JUnit of nextest, most failed",
            TestSource::Junit,
            None,
            split(&surefire, "<testcase ", "</testsuite>"),
        ),
        measure(
            "plugin, most failed",
            TestSource::Plugin,
            None,
            ["", &jsonl.replace("{\"event\": \"finish\", \"exit\": 1}\n", ""), ""],
        ),
        measure("go test -json", TestSource::Stream, Some(Framework::GoTest), ["", &go, ""]),
        measure("Jest JSON", TestSource::Stream, None, json_parts(&jest).each_ref().map(String::as_str)),
        measure("Vitest JSON", TestSource::Stream, None, json_parts(&vitest).each_ref().map(String::as_str)),
        measure("TAP of node", TestSource::Stream, Some(Framework::Tap), ["", &node, ""]),
        measure(
            "console of pytest, passed tests",
            TestSource::Console,
            Some(Framework::Pytest),
            whole(verbose),
        ),
        measure(
            "console of pytest, most failed",
            TestSource::Console,
            Some(Framework::Pytest),
            split(&pytest, "tests/", "= 12"),
        ),
        measure("console of cargo", TestSource::Console, Some(Framework::CargoTest), ["", &cargo, ""]),
        measure("console of nextest", TestSource::Console, Some(Framework::Nextest), ["", &nextest, ""]),
    ];
    assert!(speeds.iter().all(|speed| *speed >= 20.0), "{speeds:?}");
}

/// Splits a JSON report so that the results of its first file can be repeated in a larger report.
fn json_parts(report: &str) -> [String; 3] {
    let start = report.find("\"testResults\":[").unwrap() + "\"testResults\":[".len();
    let files = &report[start..];
    let mut depth = 0_i32;
    let length = files
        .char_indices()
        .find_map(|(at, c)| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            (depth == 0).then_some(at + 1)
        })
        .unwrap();
    [report[..start].to_owned(), files[..length].to_owned() + ",", report[start + length + 1..].to_owned()]
}
