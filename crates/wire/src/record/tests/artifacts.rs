//! Tests of the artifacts in records.

use super::golden::running;
use crate::record::{
    FORMAT, RecordDecodeError, decode, decode_artifacts, decode_up_to, encode_artifacts, encode_life,
    encode_spec,
};
use longhaul_domain::*;

fn keeping(patterns: &[&str]) -> Process {
    let mut process = running();
    let mut spec = process.spec.as_ref().clone();
    if let Work::Command(command) = &mut spec.work {
        command.artifacts = patterns.iter().map(|text| ArtifactPattern::new(text).unwrap()).collect();
    }
    process.spec = spec.into();
    process
}

#[test]
fn patterns_are_kept_and_only_their_records_need_a_newer_reader() {
    let (process, life) = (keeping(&["junit.xml", "target/**/*.log"]), encode_life(&running()));
    let text = encode_spec(&process);
    assert!(text.contains(r#""artifacts":["junit.xml","target/**/*.log"]"#), "{text}");
    assert_eq!(decode(&text, &life), Ok(process));
    let too_new = RecordDecodeError::TooNew { needs: FORMAT, reads: FORMAT - 1 };
    assert_eq!(decode_up_to(FORMAT - 1, &text, &life), Err(too_new));
    assert!(decode_up_to(FORMAT - 1, &encode_spec(&keeping(&[])), &life).is_ok());
}

#[test]
fn forged_pattern_that_leaves_the_directory_is_damage() {
    let (text, life) = (encode_spec(&keeping(&["junit.xml"])), encode_life(&running()));
    for bad in ["../x", "/etc/passwd", "[a"] {
        let forged = text.replace("junit.xml", bad);
        assert!(matches!(decode(&forged, &life), Err(RecordDecodeError::Damaged { .. })), "{bad}");
    }
}

#[test]
fn list_of_every_reason_and_problem_is_read_as_it_was_written() {
    let skipped = ArtifactSkipReason::ALL.map(|reason| SkippedArtifact {
        path: reason.name().to_owned(),
        reason,
        bytes: (reason == ArtifactSkipReason::TooLarge).then_some(1 << 40),
    });
    let file = |path: &str, is_unchanged| Artifact {
        path: path.to_owned(),
        bytes: 7,
        modified_at: Timestamp(-5),
        is_unchanged,
        has_changed_during_copy: false,
    };
    for problem in ArtifactProblem::ALL.map(Some).into_iter().chain([None]) {
        let list = ArtifactList {
            files: vec![file("a", false), file("ü/\u{1f6a2}", true)],
            skipped: skipped.to_vec(),
            more_skipped: 3,
            unmatched: vec!["*.log".to_owned()],
            problem,
        };
        assert_eq!(decode_artifacts(&encode_artifacts(&list)), Ok(list));
    }
    let text = encode_artifacts(&ArtifactList {
        problem: Some(ArtifactProblem::OutOfTime),
        ..ArtifactList::default()
    });
    for damaged in [text.replace("out_of_time", "new"), text.replace('{', ""), String::new()] {
        assert!(decode_artifacts(&damaged).is_err(), "{damaged}");
    }
}
