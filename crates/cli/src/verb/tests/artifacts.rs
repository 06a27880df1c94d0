//! Tests of `artifacts` and `report`.

use super::*;
use longhaul_wire::api::{
    ArtifactView, ArtifactsState, ArtifactsView, ExitView, FirstErrorView, OutputView, SkippedArtifactView,
    UsageView, WhyView,
};

fn kept() -> ArtifactsView {
    ArtifactsView {
        id: samples::failed().id,
        attempt: 1,
        state: ArtifactsState::Copied,
        files: vec![ArtifactView {
            path: "out/a.xml".to_owned(),
            bytes: 12_288,
            modified_at: "2026-11-21T01:49:55.000Z".to_owned(),
            unchanged: false,
            changed_while_copied: false,
        }],
        bytes: 12_288,
        skipped: vec![SkippedArtifactView {
            path: "link".to_owned(),
            reason: "link".to_owned(),
            why: "symbolic links are not followed".to_owned(),
            bytes: None,
        }],
        ..ArtifactsView::default()
    }
}

fn content(bytes: &'static [u8]) -> impl Fn(&FakeRequest) -> FakeResponse {
    move |_| FakeResponse::Stream { pieces: vec![bytes.to_vec()], proper: true }
}

#[test]
fn list_goes_to_standard_output_and_notes_to_standard_error() {
    let came = said("artifacts lint --attempt 2", false, |_| answered(&kept()));
    assert_eq!(came.asked, ["GET /v1/processes/lint/artifacts?attempt=2"]);
    assert_eq!(came.out, "PATH\tSIZE\tMODIFIED\nout/a.xml\t12288\t2026-11-21T01:49:55.000Z\n");
    assert_eq!(came.err, "skipped link: symbolic links are not followed\n");
    let came = said("artifacts lint --json", false, |_| answered(&kept()));
    assert_eq!(serde_json::from_str::<ArtifactsView>(&came.out).unwrap(), kept());
}

#[test]
fn content_of_a_file_is_printed_unchanged_but_never_with_control_characters_to_a_terminal() {
    let came = said("artifacts x --get out/a.xml", false, content(b"\x1b[2Jx"));
    assert_eq!((came.code(), came.out.as_str()), (0, "\u{1b}[2Jx"));
    assert_eq!(came.asked, ["GET /v1/processes/x/artifacts/out/a.xml"]);
    for hostile in [b"\x1b[2Jx".as_slice(), b"\xc2\x9b2J", b"\x07"] {
        let came = said("artifacts x --get a", true, content(hostile));
        assert!(came.code() == 2 && came.out.is_empty(), "{:?}", came.out);
    }
    let came = said("artifacts x --get a", true, content("gr\u{fc}n \u{1f6a2}\n".as_bytes()));
    assert_eq!(came.out, "gr\u{fc}n \u{1f6a2}\n");
    let parts = || FakeResponse::Stream { pieces: vec![b"a\xc2".to_vec(), b"\x9b2J".to_vec()], proper: true };
    let came = said("artifacts x --get a", true, move |_| parts());
    assert_eq!(came.code(), 2, "a control character can be split between two parts");
}

#[test]
fn files_are_written_below_a_directory() {
    let top = tempfile::tempdir().unwrap();
    let line = format!("artifacts x --to {}", top.path().display());
    let came = said(&line, false, |asked| {
        if asked.path.ends_with("/artifacts") { answered(&kept()) } else { content(b"<xml/>")(asked) }
    });
    assert_eq!(came.code(), 0, "{}", came.err);
    assert_eq!(std::fs::read_to_string(top.path().join("out/a.xml")).unwrap(), "<xml/>");
    let evil = || {
        let mut list = kept();
        list.files[0].path = "../evil".to_owned();
        list
    };
    let inner = top.path().join("inner");
    let line = format!("artifacts x --to {}", inner.display());
    let came = said(&line, false, move |asked| {
        if asked.path.ends_with("/artifacts") { answered(&evil()) } else { content(b"x")(asked) }
    });
    assert!(came.err.contains("wrote 0 files"), "{}", came.err);
    assert!(!top.path().join("evil").exists());
}

#[test]
fn content_that_ends_early_is_an_error() {
    let cut = |_: &FakeRequest| FakeResponse::Stream { pieces: vec![b"part".to_vec()], proper: false };
    assert_ne!(said("artifacts x --get a", false, cut).code(), 0);
}

fn lint() -> ProcessView {
    ProcessView {
        error: Some("AssertionError: `a` | b".to_owned()),
        first_error: Some(FirstErrorView {
            kind: "exception".to_owned(),
            message: "AssertionError: `a` | b".to_owned(),
            file: Some("lint.py".to_owned()),
            line: Some(7),
            detail: Some("Traceback:\n  ```\n@everyone <img src=x>\nAssertionError: `a` | b".to_owned()),
            ..FirstErrorView::default()
        }),
        exit: Some(ExitView {
            code: Some(1),
            usage: UsageView { user_ms: 40_000, system_ms: 2_000, peak_memory_bytes: 300 << 20 },
            ..ExitView::default()
        }),
        output_bytes: Some(1_536),
        ..samples::failed()
    }
}

fn about(asked: &FakeRequest) -> FakeResponse {
    let path = asked.path.split('?').next().unwrap();
    match path.rsplit('/').next().unwrap() {
        "why" => answered(&WhyView { why: "not_waiting".to_owned(), ..WhyView::default() }),
        "artifacts" => answered(&kept()),
        "text" => answered(&OutputView { text: "one\ntwo \u{1b}[2J\n".to_owned(), ..OutputView::default() }),
        _ => process(&lint()),
    }
}

#[test]
fn report_shows_the_command_the_ending_and_the_next_steps() {
    let came = said("report lint", false, about);
    for line in [
        "  why        exited with code 1\n",
        "  error at   lint.py:7\n",
        "  command    ruff check\n",
        "  used       42s of processor time, at most 300 MiB of memory\n",
        "  output     1.5 KiB\n",
        "  artifacts  1 file (12 KiB): out/a.xml; 1 skipped\n",
        "  first error\n    │ Traceback:\n",
        "  last output\n    │ one\n    │ two ",
        "longhaul artifacts b7d0ha00",
    ] {
        assert!(came.out.contains(line), "{line}{}", came.out);
    }
    assert!(!came.out.contains('\u{1b}'), "{}", came.out);
}

#[test]
fn report_in_markdown_keeps_foreign_text_in_code() {
    let came = said("report lint --markdown", false, about);
    let text = &came.out;
    assert!(text.starts_with("### ❌ `ruff`\n\n`b7d0ha00 ruff"), "{text}");
    // The fence of a value with backticks is longer, and a vertical bar in a value does not end its cell.
    assert!(text.contains("| error | ``AssertionError: `a` \\| b`` |\n"), "{text}");
    // The trace contains a fence of three backticks, so the block has four.
    let block = "<details><summary>First error</summary>\n\n````text\nTraceback:\n";
    assert!(text.contains(block) && text.contains("\n````\n\n</details>\n"), "{text}");
    let outside: String = text.split("````").step_by(2).collect();
    assert!(!outside.contains("@everyone") && !outside.contains("<img"), "{text}");
    assert!(!text.contains('\u{1b}') && text.len() < 60_000, "{text}");
}

#[test]
fn report_in_json_contains_its_parts() {
    let came = said("report lint --json", false, about);
    let json: Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!(json["schema"], "longhaul/report/v1");
    assert_eq!(json["process"]["first_error"]["line"], 7);
    assert_eq!(json["artifacts"]["files"][0]["path"], "out/a.xml");
    assert_eq!(json["next"][1]["command"], "longhaul restart -b b7d0ha00");
}

#[test]
fn report_leaves_out_parts_that_the_manager_refuses() {
    let came = said("report lint", false, |asked| {
        let is_part = asked.path.contains("/artifacts") || asked.path.contains("/text");
        if is_part { problem(503, "node_unreachable") } else { about(asked) }
    });
    assert_eq!(came.code(), 0, "{}", came.err);
    assert!(!came.out.contains("artifacts") && came.out.contains("lint.py:7"), "{}", came.out);
}
