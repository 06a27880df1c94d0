//! Rules of the workspace: the allowed imports of each crate, the style of source files, and the words that texts may
//! use.
//!
//! Each rule is a function over plain values, so that a test can pass a breach to the rule and check that the rule
//! reports it.

mod durable;
mod imports;
mod links;
mod map;
mod release;
mod sources;
mod type_names;
mod words;
mod workspace;

use std::error::Error;
use workspace::Workspace;

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn crates_import_only_the_crates_in_their_row() -> Outcome {
    let workspace = Workspace::read()?;
    assert!(workspace.packages.len() >= 12, "cargo listed too few packages: {:?}", workspace.packages);
    assert_eq!(listed(&imports::breaches(&workspace.packages)), "");
    Ok(())
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() -> Outcome {
    let workspace = Workspace::read()?;
    let without: Vec<&str> = workspace
        .packages
        .iter()
        .filter(|package| !package.manifest.contains("[lints]\nworkspace = true"))
        .map(|package| package.name.as_str())
        .collect();
    assert_eq!(without, [""; 0]);
    Ok(())
}

#[test]
fn source_files_keep_the_rules_of_style() -> Outcome {
    let workspace = Workspace::read()?;
    assert!(workspace.sources.len() >= 20, "too few source files were found");
    assert_eq!(listed(&sources::breaches(&workspace.sources)), "");
    Ok(())
}

#[test]
fn every_type_name_stands_for_one_thing() -> Outcome {
    let workspace = Workspace::read()?;
    assert_eq!(listed(&type_names::breaches(&workspace.sources)), "");
    Ok(())
}

#[test]
fn glossary_has_at_most_70_terms() -> Outcome {
    let workspace = Workspace::read()?;
    let glossary =
        workspace.pages.iter().find(|page| page.path == "docs/glossary.md").ok_or("no glossary")?;
    let is_term =
        |line: &&str| line.starts_with("| ") && !line.starts_with("| term ") && !line.starts_with("| --- ");
    let terms = glossary.text.lines().filter(is_term).count();
    assert!((40..=70).contains(&terms), "{terms} terms");
    Ok(())
}

#[test]
fn every_durable_step_has_a_crash_point() -> Outcome {
    let workspace = Workspace::read()?;
    assert_eq!(listed(&durable::breaches(&workspace.sources)), "");
    Ok(())
}

#[test]
fn every_path_in_the_architecture_exists() -> Outcome {
    let workspace = Workspace::read()?;
    assert_eq!(listed(&map::breaches(&workspace.architecture, &workspace.paths)), "");
    Ok(())
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() -> Outcome {
    let workspace = Workspace::read()?;
    let pages: Vec<links::Page<'_>> =
        workspace.pages.iter().map(|page| links::Page { path: &page.path, text: &page.text }).collect();
    assert!(pages.len() >= 12, "too few pages were found");
    assert_eq!(listed(&links::breaches(&pages, &workspace.paths)), "");
    Ok(())
}

/// Files and folders that must not contain banned words. The list grows until it covers the whole workspace.
const PLAIN: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs/",
    "crates/",
    "justfile",
    "scripts/",
    "tests/",
];

/// The file that lists the banned words.
const LIST_OF_WORDS: &str = "tests/architecture/words.rs";

#[test]
fn plain_texts_use_no_banned_word() -> Outcome {
    let workspace = Workspace::read()?;
    let files = workspace.pages.iter().chain(&workspace.sources).chain(&workspace.scripts);
    let files = files.filter(|file| file.path != LIST_OF_WORDS);
    let plain = files.filter(|file| PLAIN.iter().any(|plain| file.path.starts_with(plain)));
    let found: Vec<words::Breach> = plain.flat_map(|file| words::breaches(&file.path, &file.text)).collect();
    assert_eq!(listed(&found), "");
    Ok(())
}

/// Formats breaches with one line each, so that the message of a failed test is readable.
fn listed<T: ToString>(breaches: &[T]) -> String {
    breaches.iter().map(T::to_string).collect::<Vec<_>>().join("\n")
}
