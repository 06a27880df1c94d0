//! Checks the first error that is found in captured outputs of real commands. The table `fixtures/failure/expected.tsv`
//! lists each output and the expected error. In outputs without an error, nothing may be found.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use longhaul_insight::failure::{Analyzer, Finding, RuleSet, Stream, primary};
use std::fs;
use std::path::{Path, PathBuf};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/failure")
}

fn analyze(output: &[u8], piece: usize) -> Vec<Finding> {
    let mut analyzer = Analyzer::new(RuleSet::builtin());
    let mut offset = 0;
    for bytes in output.chunks(piece) {
        analyzer.push(Stream::Stderr, offset, bytes);
        offset += u64::try_from(bytes.len()).unwrap();
    }
    analyzer.finish()
}

/// Returns the sorted names of all captured outputs, such as `python/chain.txt`.
fn outputs() -> Vec<String> {
    let mut names = Vec::new();
    for tool in fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap()) {
        if tool.file_type().unwrap().is_dir() {
            for file in fs::read_dir(tool.path()).unwrap().map(|entry| entry.unwrap()) {
                let (tool, file) = (tool.file_name(), file.file_name());
                names.push(format!("{}/{}", tool.to_str().unwrap(), file.to_str().unwrap()));
            }
        }
    }
    names.sort();
    names
}

fn row(name: &str, findings: &[Finding]) -> String {
    let Some(error) = primary(findings) else { return format!("{name}\t-") };
    let number = |number: Option<u32>| number.map_or("-".to_owned(), |number| number.to_string());
    let file = error.file.as_deref().unwrap_or("-");
    let (line, column) = (number(error.line), number(error.column));
    format!("{name}\t{}\t{}\t{file}\t{line}\t{column}\t{}", error.kind, error.rule, error.message)
}

#[test]
fn each_captured_output_has_the_error_of_the_table() {
    let found: Vec<String> = outputs()
        .iter()
        .map(|name| row(name, &analyze(&fs::read(directory().join(name)).unwrap(), 4096)))
        .collect();
    let table = directory().join("expected.tsv");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&table, found.join("\n") + "\n").unwrap();
    }
    let expected = fs::read_to_string(&table).unwrap();
    for (found, expected) in found.iter().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.lines().count(), "each output has a row");
}

#[test]
fn nothing_is_found_in_clean_outputs() {
    let clean: Vec<String> = outputs().into_iter().filter(|name| name.starts_with("clean/")).collect();
    assert!(clean.len() >= 20, "{} clean outputs", clean.len());
    for name in clean {
        let findings = analyze(&fs::read(directory().join(&name)).unwrap(), 4096);
        assert!(findings.is_empty(), "{name}: {findings:#?}");
    }
}

#[test]
fn findings_of_captured_outputs_do_not_depend_on_the_pieces() {
    for name in outputs() {
        let output = fs::read(directory().join(&name)).unwrap();
        assert_eq!(analyze(&output, 7), analyze(&output, usize::MAX), "{name}");
    }
}

#[test]
fn each_finding_starts_at_its_offset() {
    for name in outputs() {
        let output = fs::read(directory().join(&name)).unwrap();
        for finding in analyze(&output, 64) {
            let offset = usize::try_from(finding.offset).unwrap();
            assert!(offset == 0 || output[offset - 1] == b'\n', "{name}: {finding:?}");
        }
    }
}
