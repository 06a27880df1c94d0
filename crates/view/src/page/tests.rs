use super::*;
use crate::cursor::StreamSelection;
use longhaul_domain::{AttemptNo, ProcessId};
use proptest::prelude::*;
use uuid::Uuid;

#[test]
fn line_is_cut_only_where_nothing_else_fits() {
    let output = b"one\ntwo two two\n";
    let first = page(&window(output, 0, WindowEnd::Over), &base(), 9, RenderMode::Folded);
    assert_eq!((first.text.as_str(), first.next.offset, first.next.line), ("one\n", 4, Some(2)));
    let second = page(&window(output, 4, WindowEnd::Over), &first.next, 9, RenderMode::Folded);
    assert_eq!((second.text.as_str(), second.next.offset, second.next.skip), ("two two t", 4, 9));
    let third = page(&window(output, 4, WindowEnd::Over), &second.next, 9, RenderMode::Folded);
    assert_eq!((third.text.as_str(), third.stop), ("wo\n", PageStop::Drained));
    assert_eq!((third.next.offset, third.next.skip, third.next.line), (16, 0, Some(3)));
}

#[test]
fn run_of_repeats_is_cut_like_any_text() {
    let output = b"aaaa\naaaa\naaaa\n";
    assert_eq!(joined(output, &[3, 4], RenderMode::Folded), "aaaa ×3\n");
}

#[test]
fn window_without_a_byte_of_the_stream_moves_the_cursor_on() {
    let mut empty = Window::new(0);
    empty.close(500, WindowEnd::Pause);
    for manner in [RenderMode::Folded, RenderMode::Raw] {
        let page = page(&empty, &base(), 100, manner);
        assert_eq!((page.text.as_str(), page.next.offset, page.stop), ("", 500, PageStop::Drained));
    }
}

#[test]
fn begun_character_waits_for_its_rest() {
    let page = page(&window(b"a\xe2\x82", 0, WindowEnd::Pause), &base(), 100, RenderMode::Raw);
    assert_eq!((page.text.as_str(), page.next.offset), ("a", 1));
}

proptest! {
    #[test]
    fn pages_joined_are_the_fold_of_the_whole(output in output(), rooms in rooms(), is_torn in any::<bool>()) {
        let whole = window(&output, 0, WindowEnd::Over);
        let whole = if is_torn { whole.torn() } else { whole };
        let whole = page(&whole, &base(), usize::MAX, RenderMode::Folded);
        prop_assert_eq!(whole.stop, PageStop::Drained);
        prop_assert_eq!(joined_from(&output, &rooms, RenderMode::Folded, is_torn), whole.text);
    }

    #[test]
    fn raw_pages_joined_are_the_log(output in output(), rooms in rooms()) {
        prop_assert_eq!(joined(&output, &rooms, RenderMode::Raw), String::from_utf8_lossy(&output));
    }

    #[test]
    fn page_fits_its_size_and_is_not_empty(output in output(), room in 6_usize..200, manner in manner()) {
        let page = page(&window(&output, 0, WindowEnd::Over), &base(), room, manner);
        prop_assert!(json_length(&page.text) <= room);
        if page.stop == PageStop::Full {
            prop_assert!(!page.text.is_empty() && (page.next.offset, page.next.skip) > (0, 0));
        }
    }

    #[test]
    fn line_numbers_count_the_line_feeds_before_the_cursor(output in output(), room in 6_usize..40, manner in manner()) {
        let page = page(&window(&output, 0, WindowEnd::Over), &base(), room, manner);
        let before = &output[..usize::try_from(page.next.offset).unwrap()];
        let feeds = before.iter().filter(|byte| **byte == b'\n').count();
        prop_assert_eq!(page.next.line, Some(feeds as u64 + 1));
    }

    #[test]
    fn growing_output_is_never_shown_in_broken_characters(text in "[a-zé€🚀\n]{0,40}", cuts in rooms()) {
        let output = text.as_bytes();
        let (mut shown, mut from, mut end) = (String::new(), base(), 0_usize);
        for cut in cuts.into_iter().chain([usize::MAX]) {
            end = end.saturating_add(cut).min(output.len());
            let start = usize::try_from(from.offset).unwrap();
            let mut window = Window::new(from.offset);
            window.push(from.offset, &output[start..end.max(start)]);
            window.close(end as u64, WindowEnd::Pause);
            let page = page(&window, &from, usize::MAX, RenderMode::Raw);
            shown.push_str(&page.text);
            from = page.next;
        }
        prop_assert_eq!(shown, text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn lines_redrawn_beyond_any_piece_are_folded_like_short_ones(
        lines in prop::collection::vec(("[ab]{1,2}", 1_usize..900, 0_usize..200_000), 1..6),
        rooms in rooms(),
    ) {
        let redrawn = |(last, state, length): &(String, usize, usize)| {
            let states = format!("{}\r", "x".repeat(*state)).repeat(length / state);
            format!("{states}{last}\n")
        };
        let long: String = lines.iter().map(redrawn).collect();
        let short: String = lines.iter().map(|(last, ..)| format!("{last}\n")).collect();
        let whole = page(&window(short.as_bytes(), 0, WindowEnd::Over), &base(), usize::MAX, RenderMode::Folded).text;
        let pages = joined(long.as_bytes(), &rooms, RenderMode::Folded);
        // A very long run of equal lines is shown as several runs, each with a count of its own lines.
        let total = |text: &str| text.lines().map(|line| line.split_once(" ×").map_or(1, |(_, n)| n.parse().unwrap())).sum::<u64>();
        let kinds = |text: &str| {
            let mut kinds: Vec<_> = text.lines().map(|line| line.split(" ×").next().unwrap().to_owned()).collect();
            kinds.dedup();
            kinds
        };
        prop_assert_eq!((total(&pages), kinds(&pages)), (total(&whole), kinds(&whole)));
    }
}

fn joined(output: &[u8], rooms: &[usize], manner: RenderMode) -> String {
    joined_from(output, rooms, manner, false)
}

/// Reads all pages one after the other, each with the smallest window that is sufficient. If `is_torn` is true, the
/// bytes before the output were dropped.
fn joined_from(output: &[u8], rooms: &[usize], manner: RenderMode, is_torn: bool) -> String {
    let (mut text, mut from) = (String::new(), base());
    for room in rooms.iter().cycle().take(100_000) {
        let start = usize::try_from(from.offset).unwrap();
        let mut limit = 8;
        let page = loop {
            let end = (start + limit).min(output.len());
            let ending = if end == output.len() { WindowEnd::Over } else { WindowEnd::More };
            let mut window = Window::new(from.offset);
            window.push(from.offset, &output[start..end]);
            window.close(end as u64, ending);
            let window = if is_torn && start == 0 { window.torn() } else { window };
            let page = page(&window, &from, *room, manner);
            if page.stop != PageStop::Undecided || !page.text.is_empty() {
                break page;
            }
            limit *= 2;
        };
        text.push_str(&page.text);
        from = OutputCursor::parse(&page.next.to_string(), base().owner).unwrap();
        if page.stop == PageStop::Drained {
            return text;
        }
    }
    panic!("the pages never end");
}

fn window(output: &[u8], from: usize, ending: WindowEnd) -> Window {
    let mut window = Window::new(from as u64);
    window.push(from as u64, &output[from..]);
    window.close(output.len() as u64, ending);
    window
}

fn base() -> OutputCursor {
    OutputCursor::new(ProcessId::new(Uuid::from_u128(1)), AttemptNo(1), StreamSelection::Both)
}

fn manner() -> impl Strategy<Value = RenderMode> {
    prop_oneof![Just(RenderMode::Folded), Just(RenderMode::Raw)]
}

fn rooms() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(6_usize..40, 1..5)
}

fn output() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec![
            &b"\n"[..], b"\r", b"\r\n", b"a", b"same\n", b"same\n", b"same\nsame\nsame\n", b"\x1b[31m", b"\x1b]0;t\x07",
            b"\xc3\xa9", b"\xe2\x82", b"\xff", b"\0", b"\"", b"\\", b"\t", b"10%\r20%\r",
        ]).prop_map(<[u8]>::to_vec),
        2 => prop::collection::vec(any::<u8>(), 1..6),
        1 => "[a-z ]{1,30}\n".prop_map(String::into_bytes),
        1 => (1_900_usize..2_200, any::<bool>()).prop_map(|(length, ends)| {
            let mut line = vec![b'x'; length];
            line.extend_from_slice(if ends { b"\n" } else { b"" });
            line
        }),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}
