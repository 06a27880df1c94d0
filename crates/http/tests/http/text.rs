use crate::world::{World, command, millis, with};
use longhaul_domain::{AttemptNo, ProcessId};
use longhaul_engine::ports::{AttemptKey, OutputLog, OutputSource};
use longhaul_wire::api::{OutputView, SearchView};
use serde_json::json;

/// Number of bytes that a response may have in addition to four bytes for each token.
const ALLOWANCE: usize = 160;

#[tokio::test(start_paused = true)]
async fn short_output_is_shown_whole_and_folded() {
    let world = World::new().await;
    let id = running(&world, b"\x1b[32mok\x1b[0m\n10%\r100%\nsame\nsame\n").await;
    let view = read(&world, &id, "").await;
    assert_eq!((view.text.as_str(), view.attempt, view.eof), ("ok\n100%\nsame ×2\n", 1, false));
    let raw = read(&world, &id, "raw=true").await;
    assert_eq!(raw.text, "\u{1b}[32mok\u{1b}[0m\n10%\r100%\nsame\nsame\n");
    world.spawner.exit(key(&id), 0);
    world.pass(millis(10)).await;
    assert!(read(&world, &id, "").await.eof);
    let rest = read(&world, &id, &format!("cursor={}", view.next_cursor)).await;
    assert_eq!((rest.text.as_str(), rest.eof), ("", true));
}

#[tokio::test(start_paused = true)]
async fn long_output_is_shown_at_both_ends_and_the_middle_can_be_fetched() {
    let world = World::new().await;
    let whole: String = (1..=5_000).map(|line| format!("line {line}\n")).collect();
    let id = running(&world, whole.as_bytes()).await;
    let view = read(&world, &id, "max_tokens=500").await;
    let (head, omitted) = (view.head.unwrap(), view.omitted.unwrap());
    assert!(head.starts_with("line 1\n") && view.text.ends_with("line 5000\n"));
    let share = head.len() * 100 / (head.len() + view.text.len());
    assert!((15..=25).contains(&share), "{share} %");
    let mut middle = String::new();
    let mut cursor = omitted.from_cursor.clone();
    while cursor != omitted.to_cursor {
        let query = format!("cursor={cursor}&to_cursor={}&max_tokens=700", omitted.to_cursor);
        let page = read(&world, &id, &query).await;
        middle.push_str(&page.text);
        cursor = page.next_cursor;
        if page.text.is_empty() {
            break;
        }
    }
    assert_eq!(omitted.bytes, middle.len() as u64);
    assert_eq!(omitted.lines, Some(middle.lines().count() as u64));
    assert_eq!(head + &middle + &view.text, whole);
}

#[tokio::test(start_paused = true)]
async fn smallest_answer_shows_both_ends_too() {
    let world = World::new().await;
    let numbered: String = (1..=50_000).map(|line| format!("line {line}\n")).collect();
    let wide: String = (1..=5_000).map(|line| format!("line {line} {}\n", "=".repeat(300))).collect();
    for whole in [numbered, wide] {
        let id = running(&world, whole.as_bytes()).await;
        for query in ["max_tokens=100", "max_tokens=100&raw=true"] {
            let view = read(&world, &id, query).await;
            let (head, omitted) = (view.head.unwrap(), view.omitted.unwrap());
            assert!(head.starts_with("line 1") && !view.text.is_empty(), "{head:?} {:?}", view.text);
            assert!(whole.ends_with(&view.text), "{:?}", view.text);
            let left = whole.len() - head.len() - view.text.len();
            // In a folded page, a line that is cut off counts with its full length.
            assert!((left..left + 400).contains(&usize::try_from(omitted.bytes).unwrap()), "{omitted:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn line_redrawn_for_megabytes_is_shown_in_its_last_state() {
    let world = World::new().await;
    let redraws: String = (100_000..=170_000).map(|state| format!("\rDL {state:6} [####]")).collect();
    let id = running(&world, format!("begin\n{redraws}\ndone\n").as_bytes()).await;
    let whole = "begin\nDL 170000 [####]\ndone\n";
    assert_eq!(read(&world, &id, "from_line=1").await.text, "begin\n");
    let found = search(&world, &id, "pattern=DL&context=1").await;
    assert_eq!((found.total_matches, found.scanned_lines), (1, 3));
    assert_eq!((found.matches[0].text.as_str(), found.matches[0].line), ("DL 170000 [####]", Some(2)));
    world.spawner.exit(key(&id), 0);
    world.pass(millis(10)).await;
    assert_eq!(joined(&world, &id, "max_tokens=100").await, whole);
    let ends = read(&world, &id, "").await;
    assert!(ends.text.ends_with("DL 170000 [####]\ndone\n"), "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn last_match_keeps_the_lines_after_it_although_the_next_match_is_among_them() {
    let world = World::new().await;
    let id = running(&world, (1..=10).map(|line| format!("{line}\n")).collect::<String>().as_bytes()).await;
    let found = search(&world, &id, "pattern=%5B23%5D%24&max_matches=1&context=2").await;
    assert_eq!((found.matches[0].text.as_str(), found.total_matches), ("2", 2));
    assert_eq!(found.matches[0].after, ["3", "4"]);
    let both = search(&world, &id, "pattern=%5B23%5D%24&context=2").await;
    let wide = running(&world, format!("{}\n", "x".repeat(150)).repeat(9).as_bytes()).await;
    let narrow = search(&world, &wide, "pattern=x&max_matches=1&context=5&max_tokens=100").await;
    assert_eq!(narrow.matches[0].after.len(), 1);
    assert!(both.matches[0].after.is_empty());
    assert_eq!(both.matches[1].after, ["4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn page_begins_with_a_line_or_so_many_before_the_end() {
    let world = World::new().await;
    let whole: String = (1..=3_000).map(|line| format!("line {line}\n")).collect();
    let id = running(&world, whole.as_bytes()).await;
    let page = read(&world, &id, "from_line=1234&max_tokens=100").await;
    assert!(page.text.starts_with("line 1234\nline 1235\n"));
    assert_eq!(read(&world, &id, "from_line=9999").await.text, "");
    assert_eq!(read(&world, &id, "tail_lines=2").await.text, "line 2999\nline 3000\n");
    let cut = read(&world, &id, "tail_lines=2000&max_tokens=200").await;
    assert!(cut.text.ends_with("line 3000\n") && cut.head.is_none());
    assert!(cut.omitted.unwrap().lines.unwrap() > 1_800);
}

#[tokio::test(start_paused = true)]
async fn a_single_stream_is_read_even_after_a_long_silence() {
    let world = World::new().await;
    let id = running(&world, b"out\n").await;
    let output = world.spawner.output();
    output.write(key(&id), OutputSource::Stderr, b"early\n");
    output.write(key(&id), OutputSource::Stdout, "noise\n".repeat(100_000).as_bytes());
    let errors = read(&world, &id, "stream=stderr").await;
    assert_eq!(errors.text, "early\n");
    let again = read(&world, &id, &format!("cursor={}", errors.next_cursor)).await;
    assert_eq!(again.text, "");
    output.write(key(&id), OutputSource::Stderr, b"late\n");
    let more = read(&world, &id, &format!("cursor={}", again.next_cursor)).await;
    assert_eq!(more.text, "late\n");
    for line in 0..20_000 {
        output.write(key(&id), OutputSource::Stderr, format!("warning {line}\n").as_bytes());
    }
    output.write(key(&id), OutputSource::Stdout, "noise\n".repeat(100_000).as_bytes());
    let tail = read(&world, &id, "stream=stderr&max_tokens=300").await;
    assert!(tail.text.ends_with("warning 19999\n") && tail.head.unwrap().starts_with("early\n"));
}

#[tokio::test(start_paused = true)]
async fn unchanged_read_costs_at_most_forty_tokens() {
    let world = World::new().await;
    let id = running(&world, "line\n".repeat(1_000_000).as_bytes()).await;
    let view = read(&world, &id, "").await;
    let path = format!("/v1/processes/{id}/text?cursor={}", view.next_cursor);
    let answer = world.get(&path).await;
    assert!(answer.bytes.len() <= 160, "{}", String::from_utf8_lossy(&answer.bytes));
    let unchanged: OutputView = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!((unchanged.text.as_str(), &unchanged.next_cursor), ("", &view.next_cursor));
}

#[tokio::test(start_paused = true)]
async fn no_answer_exceeds_its_budget_and_the_pages_joined_are_the_log() {
    let world = World::new().await;
    let mut chance = Chance(7);
    for round in 0..40 {
        let output = chance.output();
        let id = running(&world, &output).await;
        if round % 3 == 0 {
            world.spawner.exit(key(&id), 0);
            world.pass(millis(10)).await;
        }
        for tokens in [100, 101, 107, 130, 164, 200, 400, 1_500, 8_000] {
            let stream = ["both", "stdout", "stderr"][chance.below(3)];
            for query in ["", "&raw=true", "&tail_lines=9", "&from_line=3"] {
                let query = format!("max_tokens={tokens}&stream={stream}{query}");
                let answer = world.get(&format!("/v1/processes/{id}/text?{query}")).await;
                assert!(answer.bytes.len() <= tokens * 4 + ALLOWANCE, "{query}: {}", answer.bytes.len());
            }
            let pattern = ["a", "%5E.", "x%2B", "same"][chance.below(4)];
            let query = format!("pattern={pattern}&max_tokens={tokens}&context=2&max_matches=100");
            let answer = world.get(&format!("/v1/processes/{id}/search?{query}")).await;
            assert!(answer.bytes.len() <= tokens * 4 + ALLOWANCE, "{query}: {}", answer.bytes.len());
        }
        if round % 3 == 0 {
            let least = if output.len() > 20_000 { 400 } else { 100 };
            let tokens = [least, least + 30, 2_000][chance.below(3)];
            let joined = joined(&world, &id, &format!("raw=true&max_tokens={tokens}")).await;
            assert!(joined == String::from_utf8_lossy(&output), "raw pages of {tokens}");
            let (few, many) = (format!("max_tokens={tokens}"), "max_tokens=8000");
            let (few, many) = (self::joined(&world, &id, &few).await, self::joined(&world, &id, many).await);
            assert!(few == many, "folded pages of {tokens}");
        } else {
            // Ends the process, because other processes are waiting for its slot.
            world.spawner.exit(key(&id), 0);
            world.pass(millis(10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lost_output_is_reported_at_its_position_while_the_process_runs() {
    let world = World::new().await;
    let id = running(&world, b"one\n").await;
    let output = world.spawner.output();
    output.lose(key(&id), 70);
    output.write(key(&id), OutputSource::Stdout, b"two\n");
    output.lose(key(&id), 5);
    let lost = |view: &OutputView| -> Vec<(String, u64)> {
        view.lost.iter().map(|lost| (lost.cursor.clone(), lost.bytes)).collect()
    };
    let all = read(&world, &id, "").await;
    assert_eq!(lost(&all), [(cursor(&id, 4), 70), (cursor(&id, 8), 5)]);
    let behind = read(&world, &id, &format!("cursor={}", all.lost[0].cursor)).await;
    assert_eq!((behind.text.as_str(), behind.lost), ("two\n", all.lost.clone()));
    let tail = read(&world, &id, &format!("cursor={}", cursor(&id, 5))).await;
    assert_eq!(lost(&tail), [(cursor(&id, 8), 5)]);
    assert_eq!(search(&world, &id, "pattern=o").await.lost_bytes, Some(75));
}

#[tokio::test(start_paused = true)]
async fn dropped_middle_is_reported_at_its_position() {
    let world = World::new().await;
    let id = running(&world, b"head\n....tail\n").await;
    world.spawner.output().drop_middle(key(&id), 5, 9);
    let first = read(&world, &id, &format!("cursor={}", cursor(&id, 0))).await;
    assert_eq!((first.text.as_str(), first.dropped_bytes), ("head\n", None));
    let second = read(&world, &id, &format!("cursor={}", first.next_cursor)).await;
    assert_eq!((second.text.as_str(), second.dropped_bytes), ("…tail\n", Some(4)));
    assert!(!second.cursor_expired);
    let inside = read(&world, &id, &format!("cursor={}", cursor(&id, 7))).await;
    assert_eq!(
        (inside.text.as_str(), inside.dropped_bytes, inside.cursor_expired),
        ("…tail\n", Some(2), true)
    );
    let ends = read(&world, &id, "").await;
    let omitted = ends.omitted.unwrap();
    assert_eq!((ends.head.unwrap().as_str(), ends.text.as_str()), ("head\n", "…tail\n"));
    assert_eq!((omitted.bytes, omitted.dropped_bytes), (4, Some(4)));
    let found = search(&world, &id, "pattern=a").await;
    let lines: Vec<_> = found.matches.iter().map(|found| (found.line, found.text.as_str())).collect();
    assert_eq!(lines, [(Some(1), "head"), (None, "…tail")]);
    assert_eq!(found.dropped_bytes, Some(4));
    let problem = world.get(&format!("/v1/processes/{id}/text?from_line=3")).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"));
}

#[tokio::test(start_paused = true)]
async fn reader_waits_for_more_and_for_the_end() {
    let world = World::new().await;
    let id = running(&world, b"early\n").await;
    let first = read(&world, &id, "").await;
    let query = format!("cursor={}&wait_ms=30000", first.next_cursor);
    let write = async {
        world.pass(millis(2_000)).await;
        world.spawner.output().write(key(&id), OutputSource::Stdout, b"late\n");
        world.pass(millis(100)).await;
    };
    let (second, ()) = tokio::join!(read(&world, &id, &query), write);
    assert_eq!((second.text.as_str(), second.eof), ("late\n", false));
    let query = format!("cursor={}&wait_ms=1000", second.next_cursor);
    let reading = world.clock.run_until(millis(5_000), read(&world, &id, &query)).await.unwrap();
    assert_eq!((reading.text.as_str(), reading.eof), ("", false));
    let query = format!("cursor={}&wait_ms=30000", second.next_cursor);
    let end = async {
        world.pass(millis(2_000)).await;
        world.spawner.exit(key(&id), 0);
        world.pass(millis(1_000)).await;
    };
    let (last, ()) = tokio::join!(read(&world, &id, &query), end);
    assert_eq!((last.text.as_str(), last.eof), ("", true));
}

#[tokio::test(start_paused = true)]
async fn cursor_from_before_the_first_attempt_reads_on_with_it() {
    let world = World::new().await;
    let launch = with(command("echo there"), "delay_ms", json!(30_000));
    let launched = world.post("/v1/processes", launch).await.json();
    let id = launched["process"]["id"].as_str().unwrap().to_owned();
    let view = read(&world, &id, "").await;
    assert_eq!((view.attempt, view.text.as_str(), view.eof), (0, "", false));
    world.pass(millis(60_000)).await;
    let view = read(&world, &id, &format!("cursor={}", view.next_cursor)).await;
    assert_eq!((view.attempt, view.text.as_str(), view.eof), (1, "there\n", true));
}

#[tokio::test(start_paused = true)]
async fn removed_output_is_reported() {
    let world = World::new().await;
    let id = world.launch("echo hello").await;
    world.pass(millis(10)).await;
    world.spawner.output().remove(key(&id).id).await.unwrap();
    for path in ["text", "search?pattern=a"] {
        let problem = world.get(&format!("/v1/processes/{id}/{path}")).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (410, "output_removed"));
    }
}

#[tokio::test(start_paused = true)]
async fn matches_come_with_their_lines_around_and_in_pages() {
    let world = World::new().await;
    let output: String = (1..=2_000).map(|line| format!("{line} {}\n", ["ok", "Error"][line % 2])).collect();
    let id = running(&world, output.as_bytes()).await;
    let first = search(&world, &id, "pattern=error&ignore_case=true&context=1&max_matches=3").await;
    let told: Vec<_> = first.matches.iter().map(|found| (found.line.unwrap(), found.text.as_str())).collect();
    assert_eq!(told, [(1, "1 Error"), (3, "3 Error"), (5, "5 Error")]);
    assert_eq!(first.matches[0].after, ["2 ok"]);
    assert!(first.matches[1].before.is_empty());
    assert_eq!((first.total_matches, first.scanned_lines, first.truncated), (1_000, 2_000, true));
    let place = read(&world, &id, &format!("cursor={}&max_tokens=100", first.matches[2].cursor)).await;
    assert!(place.text.starts_with("5 Error\n"));
    let (mut lines, mut cursor) = (Vec::new(), cursor(&id, 0));
    loop {
        let query = format!("pattern=Error&max_tokens=8000&max_matches=100&from_cursor={cursor}");
        let page = search(&world, &id, &query).await;
        lines.extend(page.matches.iter().map(|found| found.text.clone()));
        cursor = page.next_cursor;
        if !page.truncated {
            break;
        }
    }
    let expected: Vec<_> = output.lines().filter(|line| line.contains("Error")).collect();
    assert_eq!(lines, expected);
    assert_eq!(search(&world, &id, "pattern=nothing").await.total_matches, 0);
}

#[tokio::test(start_paused = true)]
async fn search_that_takes_too_long_stops_and_can_be_continued() {
    let world = World::new().await;
    let mut chance = Chance(3);
    let line: Vec<u8> = (0..400).map(|_| b"ab"[chance.below(2)]).chain(*b"\n").collect();
    let id = running(&world, &line.repeat(100_000)).await;
    // This pattern, `[ab]*a[ab]{390}c`, has hundreds of unfinished possible matches at every byte.
    let pattern = "%5Bab%5D*a%5Bab%5D%7B390%7Dc";
    let began = std::time::Instant::now();
    let first = search(&world, &id, &format!("pattern={pattern}")).await;
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    assert!(first.truncated && first.scanned_lines < 100_000, "{first:?}");
    let query = format!("pattern={pattern}&from_cursor={}", first.next_cursor);
    let second = search(&world, &id, &query).await;
    assert!(second.scanned_lines > 0 && second.next_cursor != first.next_cursor);
}

#[tokio::test(start_paused = true)]
async fn request_that_makes_no_sense_is_refused() {
    let world = World::new().await;
    let id = running(&world, b"one\n").await;
    let other = running(&world, b"two\n").await;
    for (query, slug) in [
        ("text?max_tokens=0", "invalid_request"),
        ("text?max_tokens=99", "invalid_request"),
        ("text?max_tokens=8001", "invalid_request"),
        ("text?wait_ms=55001", "invalid_request"),
        ("text?from_line=0", "invalid_request"),
        ("text?from_line=1&tail_lines=1", "invalid_request"),
        ("text?attempt=2", "invalid_request"),
        ("text?stream=stdin", "invalid_request"),
        ("text?lines=3", "invalid_request"),
        ("text?cursor=here", "cursor_invalid"),
        (&format!("text?cursor={}", cursor(&other, 0)), "cursor_invalid"),
        (&format!("text?cursor={}&stream=stderr", cursor(&id, 0)), "invalid_request"),
        ("search", "pattern_invalid"),
        ("search?pattern=(", "pattern_invalid"),
        ("search?pattern=a&context=6", "invalid_request"),
        ("search?pattern=a&max_matches=0", "invalid_request"),
        ("search?pattern=a&max_tokens=99", "invalid_request"),
    ] {
        let problem = world.get(&format!("/v1/processes/{id}/{query}")).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, slug), "{query}");
    }
    let reported = json!({ "reported": {} });
    let reported = world.post("/v1/processes", reported).await.json();
    let reported = reported["process"]["id"].as_str().unwrap();
    for path in ["text", "search?pattern=a"] {
        let problem = world.get(&format!("/v1/processes/{reported}/{path}")).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (409, "unsupported"));
    }
}

async fn running(world: &World, output: &[u8]) -> String {
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    world.spawner.output().write(key(&id), OutputSource::Stdout, output);
    id
}

async fn read(world: &World, id: &str, query: &str) -> OutputView {
    let answer = world.get(&format!("/v1/processes/{id}/text?{query}")).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
    serde_json::from_slice(&answer.bytes).unwrap()
}

async fn search(world: &World, id: &str, query: &str) -> SearchView {
    let answer = world.get(&format!("/v1/processes/{id}/search?{query}")).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
    serde_json::from_slice(&answer.bytes).unwrap()
}

/// Reads all pages and returns their joined text.
async fn joined(world: &World, id: &str, query: &str) -> String {
    let (mut text, mut cursor) = (String::new(), cursor(id, 0));
    loop {
        let page = read(world, id, &format!("cursor={cursor}&{query}")).await;
        text.push_str(&page.text);
        if page.eof {
            return text;
        }
        assert_ne!(page.next_cursor, cursor);
        cursor = page.next_cursor;
    }
}

fn cursor(id: &str, offset: u64) -> String {
    use longhaul_view::{OutputCursor, StreamSelection};
    let first = OutputCursor::new(id.parse().unwrap(), AttemptNo(1), StreamSelection::Both);
    if offset == 0 { first.to_string() } else { first.at(offset).to_string() }
}

fn key(id: &str) -> AttemptKey {
    AttemptKey { id: id.parse::<ProcessId>().unwrap(), attempt: AttemptNo(1) }
}

/// Random number generator that always returns the same sequence.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    /// Generates output of one randomly chosen kind, or of several kinds mixed: binary data, one huge line, colors,
    /// repeated lines, redrawn lines.
    fn output(&mut self) -> Vec<u8> {
        let kind = self.below(7);
        let mut output = Vec::new();
        for _ in 0..[3, 40, 400][self.below(3)] {
            match if kind == 6 { self.below(6) } else { kind } {
                0 => output.extend((0..20).map(|_| u8::try_from(self.below(256)).unwrap())),
                1 => output.extend(std::iter::repeat_n(b'x', 300)),
                2 => output.extend(b"\x1b[1;31m\"a\\ \x1b]0;t\x07\x1b[2K\n"),
                3 => output.extend(b"same\nsame\n"),
                4 => output.extend(b"10%\r20%\r100% \xe2\x9c\x93\r\n"),
                _ => output.extend(format!("line {}\n", self.below(1_000)).bytes()),
            }
        }
        output
    }
}
