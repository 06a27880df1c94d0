use super::*;
use crate::pattern::CaseMode;
use proptest::prelude::*;

#[test]
fn line_is_searched_as_it_is_shown() {
    let output = b"er\x1b[1mror\x1b[0m\r\n10%\rerror\nclean\n";
    let folded = hits(output, &[100], "^error$", 0, RenderMode::Folded);
    assert_eq!(folded.iter().map(|hit| hit.line).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert_eq!(folded.iter().map(|hit| hit.offset).collect::<Vec<_>>(), [0, 15]);
    let raw = hits(output, &[100], r"\x1b\[1m", 0, RenderMode::Raw);
    assert_eq!(raw.len(), 1);
}

#[test]
fn endless_line_is_searched_in_windows_that_overlap() {
    let mut output = vec![b'x'; 3 * MAX_PIECE_LEN];
    output[MAX_PIECE_LEN - 3..MAX_PIECE_LEN + 3].copy_from_slice(b"needle");
    output[2 * MAX_PIECE_LEN..2 * MAX_PIECE_LEN + 6].copy_from_slice(b"needle");
    output.extend_from_slice(b"\nneedle\n");
    for chunk in [999, 64 * 1024, output.len()] {
        let hits = hits(&output, &[chunk], "needle", 1, RenderMode::Folded);
        assert_eq!(
            hits.iter().map(|hit| hit.line).collect::<Vec<_>>(),
            [Some(1), Some(1), Some(2)],
            "{chunk}"
        );
        assert!(hits.iter().all(|hit| hit.text.contains("needle") && hit.text.len() <= 106));
    }
}

#[test]
fn redrawn_line_is_searched_in_its_last_state_however_long_it_is() {
    let redraws: String = (0..10_000).map(|state| format!("\rDL {state} of 10000")).collect();
    let output = format!("before\n{redraws}\ndone\n");
    for chunk in [999, 64 * 1024, output.len()] {
        let found = hits(output.as_bytes(), &[chunk], "DL", 1, RenderMode::Folded);
        assert_eq!((found.len(), found[0].line, found[0].text.as_str()), (1, Some(2), "DL 9999 of 10000"));
        assert_eq!(found[0].after, ["done"]);
        let found = hits(output.as_bytes(), &[chunk], "before", 2, RenderMode::Folded);
        assert_eq!(found[0].after, ["DL 9999 of 10000", "done"], "{chunk}");
        assert_eq!(hits(output.as_bytes(), &[chunk], "DL 50 ", 1, RenderMode::Folded), []);
    }
}

#[test]
fn memory_is_bounded_by_a_piece_and_a_few_lines() {
    let mut searcher = Searcher::new(pattern("needle"), 0, Some(1), RenderMode::Folded).context(5);
    for round in 0..200_u64 {
        searcher.push(round * 32_768, &[b'x'; 32_768]);
        assert!(searcher.window.bytes().len() <= 4 * MAX_PIECE_LEN);
    }
}

#[test]
fn long_line_is_shown_around_its_match() {
    let line = format!("{}needle{}", "é".repeat(400), "z".repeat(400));
    let hits = hits(line.as_bytes(), &[10], "needle", 0, RenderMode::Folded);
    assert!(
        hits[0].text.starts_with("…é") && hits[0].text.ends_with("z…") && hits[0].text.contains("needle")
    );
}

#[test]
fn counting_reports_no_further_matches() {
    let mut searcher = Searcher::new(pattern("a"), 0, Some(1), RenderMode::Folded);
    searcher.push(0, b"a\na\n");
    assert_eq!(searcher.take().len(), 2);
    searcher.count_only();
    searcher.push(4, b"a\nb\n");
    assert_eq!((searcher.take().len(), searcher.total(), searcher.lines()), (0, 3, 4));
}

#[test]
fn line_that_is_still_written_is_searched_again() {
    let mut searcher = Searcher::new(pattern("ready now"), 0, Some(1), RenderMode::Folded);
    searcher.push(0, b"one\nready ");
    searcher.finish(10, WindowEnd::Pause);
    assert_eq!((searcher.total(), searcher.place()), (0, (4, Some(2))));
}

#[test]
fn lines_behind_a_dropped_part_have_no_number() {
    let mut searcher = Searcher::new(pattern("."), 0, Some(1), RenderMode::Folded);
    searcher.push(0, b"one\ntw");
    searcher.break_off(100);
    searcher.push(100, b"o\n");
    searcher.finish(102, WindowEnd::Over);
    let places: Vec<_> = searcher.take().iter().map(|hit| (hit.line, hit.offset)).collect();
    assert_eq!(places, [(Some(1), 0), (Some(2), 4), (None, 100)]);
}

#[test]
fn rest_of_a_line_behind_a_dropped_part_is_marked_and_begins_nothing() {
    let hits = |words: &str| {
        let mut searcher = Searcher::new(pattern(words), 0, Some(1), RenderMode::Folded).context(1);
        searcher.push(0, b"one\n");
        searcher.break_off(100);
        searcher.push(100, b"error\nerror\n");
        searcher.finish(112, WindowEnd::Over);
        searcher.take()
    };
    let begun = hits("^error");
    assert_eq!(begun.iter().map(|hit| hit.offset).collect::<Vec<_>>(), [106]);
    assert_eq!(begun[0].before, ["…error"]);
    assert_eq!(hits("error$").iter().map(|hit| hit.text.as_str()).collect::<Vec<_>>(), ["…error", "error"]);
}

proptest! {
    #[test]
    fn hits_are_those_of_a_plain_search(
        lines in prop::collection::vec("[ab]{0,2}", 0..20),
        ends in any::<bool>(),
        chunks in prop::collection::vec(1_usize..7, 1..5),
        context in 0_usize..4,
    ) {
        let mut output = lines.join("\n");
        if ends {
            output.push('\n');
        }
        let found = hits(output.as_bytes(), &chunks, "a", context, RenderMode::Folded);
        prop_assert_eq!(found, plain(&output, context));
    }

    #[test]
    fn any_output_and_any_chunks_give_the_same_hits(
        output in prop::collection::vec(
            prop::sample::select(vec![&b"\n"[..], b"\r", b"a", b"ab", b"\x1b[1m", b"\xff", b"\xc3\xa9", b"\x1b]"]), 0..40,
        ),
        chunks in prop::collection::vec(1_usize..7, 1..5),
        context in 0_usize..3,
    ) {
        let output = output.concat();
        let whole = hits(&output, &[output.len() + 1], "ab|é", context, RenderMode::Folded);
        prop_assert_eq!(hits(&output, &chunks, "ab|é", context, RenderMode::Folded), whole);
    }
}

fn hits(output: &[u8], chunks: &[usize], text: &str, context: usize, manner: RenderMode) -> Vec<SearchHit> {
    let mut searcher = Searcher::new(pattern(text), 0, Some(1), manner).context(context).longest(100);
    let (mut hits, mut from) = (Vec::new(), 0);
    for chunk in chunks.iter().cycle() {
        let to = (from + chunk).min(output.len());
        searcher.push(from as u64, &output[from..to]);
        hits.extend(searcher.take());
        from = to;
        if from == output.len() {
            break;
        }
    }
    searcher.finish(from as u64, WindowEnd::Over);
    hits.extend(searcher.take());
    assert_eq!(searcher.total(), hits.len() as u64);
    hits
}

/// Computes the expected hits by a simple search that does not use [`Searcher`].
fn plain(output: &str, context: usize) -> Vec<SearchHit> {
    let lines: Vec<&str> = output.split_inclusive('\n').collect();
    let text = |line: usize| lines[line].trim_end_matches('\n').to_owned();
    let matching: Vec<usize> = (0..lines.len()).filter(|line| lines[*line].contains('a')).collect();
    let (mut hits, mut reported) = (Vec::new(), 0);
    for (place, line) in matching.iter().copied().enumerate() {
        let behind = matching.get(place + 1).copied().unwrap_or(lines.len()).min(line + 1 + context);
        let offset = |line: usize| lines[..line].iter().map(|line| line.len() as u64).sum();
        hits.push(SearchHit {
            line: Some(line as u64 + 1),
            offset: offset(line),
            next: offset(line + 1),
            text: text(line),
            before: (line.saturating_sub(context).max(reported)..line).map(text).collect(),
            after: (line + 1..behind).map(text).collect(),
            further: (behind..lines.len().min(line + 1 + context)).map(text).collect(),
        });
        reported = behind;
    }
    hits
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text, CaseMode::Kept).unwrap()
}
