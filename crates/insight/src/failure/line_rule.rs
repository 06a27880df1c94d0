//! A rule for single lines, with its regular expressions compiled.

use super::finding::{Finding, MAX_MESSAGE_LEN, Stream, one_line};
use super::raw_rule::{RawBlock, RawRule};
use super::rule_error::RuleError;
use crate::bounded_text::cut;
use regex::{Captures, Regex, RegexBuilder};

/// Maximum memory of a compiled regular expression in bytes.
const MAX_PATTERN_MEMORY: usize = 1 << 20;
/// Maximum length of a name or a kind in bytes.
const MAX_SLUG_LEN: usize = 64;
/// Maximum weight.
const MAX_WEIGHT: u8 = 100;

/// A rule that finds errors in single lines.
#[derive(Clone, Debug)]
pub(super) struct LineRule {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) pattern: Regex,
    pub(super) contains: Vec<String>,
    pub(super) weight: u8,
    pub(super) trace_weight: Option<u8>,
    pub(super) refines: bool,
    pub(super) ignores: bool,
    pub(super) demotes: bool,
    pub(super) block: Option<RuleBlock>,
    message: Option<String>,
    stream: Option<Stream>,
}

/// Describes the following lines that belong to a finding of a rule.
#[derive(Clone, Debug)]
pub(super) struct RuleBlock {
    pub(super) until: Option<Regex>,
    pub(super) matching: Option<Regex>,
    pub(super) max_lines: usize,
    pub(super) location: Option<Regex>,
    pub(super) message: Option<Regex>,
    pub(super) located_kind: Option<String>,
}

impl LineRule {
    /// Compiles a rule.
    ///
    /// # Errors
    /// Returns the first error of the rule.
    pub(super) fn compile(raw: RawRule) -> Result<Self, RuleError> {
        check_slug(&raw.name, "name", &raw.name)?;
        check_slug(&raw.name, "kind", &raw.kind)?;
        for weight in [Some(raw.weight), raw.trace_weight].into_iter().flatten() {
            if weight > MAX_WEIGHT {
                return Err(RuleError::WeightTooGreat { rule: raw.name, weight });
            }
        }
        let pattern = regex(&raw.name, "pattern", &raw.pattern)?;
        if let Some(template) = &raw.message {
            check_template(&raw.name, template, &pattern)?;
        }
        let block = raw.block.map(|block| RuleBlock::compile(&raw.name, block)).transpose()?;
        Ok(Self {
            kind: raw.kind,
            pattern,
            contains: raw.contains.into_iter().filter(|text| !text.is_empty()).collect(),
            weight: raw.weight,
            trace_weight: raw.trace_weight,
            refines: raw.refine,
            ignores: raw.ignore,
            demotes: raw.demote,
            block,
            message: raw.message,
            stream: raw.stream,
            name: raw.name,
        })
    }

    /// Returns true if the rule applies to this stream and the line contains one of the texts that the rule requires.
    pub(super) fn applies(&self, stream: Option<Stream>, line: &str) -> bool {
        let reads = self.stream.is_none() || stream.is_none() || self.stream == stream;
        reads && (self.contains.is_empty() || self.contains.iter().any(|text| line.contains(text)))
    }

    /// Returns the error that the rule finds in a line, or `None` if the pattern does not match.
    pub(super) fn find(&self, stream: Stream, offset: u64, line: &str) -> Option<Finding> {
        let groups = self.pattern.captures(line)?;
        let message = one_line(&self.message_of(&groups, line));
        let mut finding = Finding {
            kind: self.kind.clone(),
            rule: self.name.clone(),
            message: if message.is_empty() { one_line(line) } else { message },
            file: None,
            line: None,
            column: None,
            stream,
            offset,
            detail: None,
            weight: self.weight,
        };
        locate(&mut finding, &groups);
        Some(finding)
    }

    fn message_of(&self, groups: &Captures<'_>, line: &str) -> String {
        match (&self.message, groups.name("message")) {
            (Some(template), _) => {
                let mut message = String::new();
                groups.expand(template, &mut message);
                message
            }
            (None, Some(message)) => message.as_str().to_owned(),
            (None, None) => line.to_owned(),
        }
    }
}

impl RuleBlock {
    fn compile(rule: &str, raw: RawBlock) -> Result<Self, RuleError> {
        if raw.until.is_none() && raw.matching.is_none() && raw.max_lines.is_none() {
            return Err(RuleError::EndlessBlock { rule: rule.to_owned() });
        }
        if let Some(kind) = &raw.located_kind {
            check_slug(rule, "located_kind", kind)?;
        }
        let optional = |key, text: Option<String>| text.map(|text| regex(rule, key, &text)).transpose();
        Ok(Self {
            until: optional("block.until", raw.until)?,
            matching: optional("block.while", raw.matching)?,
            max_lines: raw.max_lines.unwrap_or(usize::MAX),
            location: optional("block.location", raw.location)?,
            message: optional("block.message", raw.message)?,
            located_kind: raw.located_kind,
        })
    }
}

/// Sets the file, line and column of a finding from the groups `file`, `line` and `column`.
pub(super) fn locate(finding: &mut Finding, groups: &Captures<'_>) {
    let number = |name| groups.name(name).and_then(|text| text.as_str().parse().ok());
    if let Some(file) = groups.name("file") {
        finding.file = Some(cut(file.as_str(), MAX_MESSAGE_LEN).to_owned());
        finding.line = number("line");
        finding.column = number("column");
    }
}

fn regex(rule: &str, key: &'static str, text: &str) -> Result<Regex, RuleError> {
    RegexBuilder::new(text).size_limit(MAX_PATTERN_MEMORY).build().map_err(|error| RuleError::Pattern {
        rule: rule.to_owned(),
        key,
        reason: error.to_string(),
    })
}

fn check_slug(rule: &str, key: &'static str, value: &str) -> Result<(), RuleError> {
    let is_valid = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if (1..=MAX_SLUG_LEN).contains(&value.len()) && value.bytes().all(is_valid) {
        return Ok(());
    }
    let (rule, value) = (cut(rule, MAX_SLUG_LEN).to_owned(), cut(value, MAX_SLUG_LEN).to_owned());
    Err(RuleError::NotASlug { rule, key, value })
}

fn check_template(rule: &str, template: &str, pattern: &Regex) -> Result<(), RuleError> {
    let names: Vec<&str> = pattern.capture_names().flatten().collect();
    let used = template.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    for group in used {
        if !names.contains(&group) && group.parse::<usize>().is_err() {
            return Err(RuleError::UnknownGroup { rule: rule.to_owned(), group: group.to_owned() });
        }
    }
    Ok(())
}
