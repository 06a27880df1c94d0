//! All rules, and a fast search for the lines that a rule may match.

use super::finding::Stream;
use super::line_rule::LineRule;
use super::raw_rule::RawRules;
use super::rule_error::RuleError;
use super::trace::OPENING_TEXTS;
use regex::bytes::Regex as BytesRegex;
use regex::{RegexSet, RegexSetBuilder};
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

/// Maximum number of rules that a user may define.
pub const MAX_USER_RULES: usize = 200;

/// Maximum memory of all compiled patterns in bytes.
const MAX_SET_MEMORY: usize = 64 << 20;
/// Maximum memory in bytes for the states that the pattern search caches.
const MAX_CACHE_MEMORY: usize = 8 << 20;

/// Rules that are embedded in the crate.
const EMBEDDED: &str = include_str!("rules.toml");

static BUILTIN: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(RuleSet::parse("").unwrap_or_default()));

/// The rule that determines the finding of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleMatch<'a> {
    pub(super) rule: &'a LineRule,
    /// Maximum weight of the finding, if the command survived the error.
    max_weight: Option<u8>,
}

impl RuleMatch<'_> {
    pub(super) fn weight(&self) -> u8 {
        self.max_weight.map_or(self.rule.weight, |max| max.min(self.rule.weight))
    }

    /// Returns true if the command survived the error.
    pub(super) const fn is_demoted(&self) -> bool {
        self.max_weight.is_some()
    }
}

/// Rules in the order in which they are tried: first the rules of the user, then the embedded rules. The first rule
/// that matches a line determines the finding.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<LineRule>,
    /// Patterns of all rules.
    patterns: RegexSet,
    /// Finds the texts that the rules require. A line that contains none of them can only match a pattern of
    /// `unfiltered`. If this field is `None`, every line is examined.
    texts: Option<BytesRegex>,
    /// Patterns of the rules that require no text.
    unfiltered: RegexSet,
}

impl RuleSet {
    /// Returns the embedded rules.
    #[must_use]
    pub fn builtin() -> Arc<Self> {
        Arc::clone(&BUILTIN)
    }

    /// Reads the rules of a user. They are tried before the embedded rules.
    ///
    /// ```toml
    /// [[rule]]
    /// name = "migration"
    /// kind = "migration_failed"
    /// pattern = 'migration (?P<name>\w+) failed: (?P<message>.+)'
    /// message = "${name}: ${message}"
    /// weight = 90
    /// contains = ["migration"]
    /// block = { while = '^\s', max_lines = 20 }
    /// ```
    ///
    /// # Errors
    /// Returns an error that names the first invalid rule and the necessary change.
    pub fn parse(user: &str) -> Result<Self, RuleError> {
        let user = read(user)?;
        if user.len() > MAX_USER_RULES {
            return Err(RuleError::TooManyRules { count: user.len() });
        }
        let mut rules = user;
        rules.extend(read(EMBEDDED)?);
        Self::of(rules)
    }

    fn of(rules: Vec<LineRule>) -> Result<Self, RuleError> {
        let patterns = set(rules.iter())?;
        // Silent rules produce no findings, so a line that matches only silent rules need not be examined.
        let is_silent = |rule: &LineRule| rule.ignores || rule.demotes;
        let unfiltered = set(rules.iter().filter(|rule| rule.contains.is_empty() && !is_silent(rule)))?;
        let texts: BTreeSet<&str> = rules
            .iter()
            .filter(|rule| !is_silent(rule))
            .flat_map(|rule| rule.contains.iter().map(String::as_str))
            .chain(OPENING_TEXTS)
            .collect();
        // If a text contains another text, a search for the shorter text also finds the longer text.
        let needed: Vec<String> = texts
            .iter()
            .filter(|text| !texts.iter().any(|other| other != *text && text.contains(other)))
            .map(|text| regex::escape(text))
            .collect();
        let texts = BytesRegex::new(&needed.join("|")).ok();
        Ok(Self { rules, patterns, texts, unfiltered })
    }

    /// Returns true if a rule or the start of a trace may match the line. For an ordinary line, one scan suffices.
    pub(super) fn may_match(&self, line: &str) -> bool {
        self.texts.as_ref().is_none_or(|texts| texts.is_match(line.as_bytes()))
            || (!self.unfiltered.is_empty() && self.unfiltered.is_match(line))
    }

    /// Returns the length of the lines at the start of `bytes` that cannot contain an error. `bytes` must consist of
    /// complete lines of printable ASCII. One call is faster than a check of each line.
    pub(super) fn skippable(&self, bytes: &[u8]) -> usize {
        let Some(texts) = self.texts.as_ref().filter(|_| self.unfiltered.is_empty()) else { return 0 };
        let Some(hit) = texts.find(bytes) else { return bytes.len() };
        let before = bytes.get(..hit.start()).unwrap_or_default();
        memchr::memrchr(b'\n', before).map_or(0, |feed| feed + 1)
    }

    /// Returns the first rule that matches the line and does not only demote other rules.
    pub(super) fn first(&self, stream: Stream, line: &str) -> Option<RuleMatch<'_>> {
        let mut max_weight: Option<u8> = None;
        for rule in self.matching(line).filter(|rule| rule.applies(Some(stream), line)) {
            if !rule.demotes {
                return Some(RuleMatch { rule, max_weight });
            }
            max_weight = Some(max_weight.map_or(rule.weight, |max| max.min(rule.weight)));
        }
        None
    }

    /// Returns the first rule for traces that matches the final message of a trace.
    pub(super) fn refining(&self, message: &str) -> Option<&LineRule> {
        self.matching(message).find(|rule| rule.refines && !rule.demotes && rule.applies(None, message))
    }

    fn matching(&self, line: &str) -> impl Iterator<Item = &LineRule> {
        self.patterns.matches(line).into_iter().filter_map(|index| self.rules.get(index))
    }
}

fn read(text: &str) -> Result<Vec<LineRule>, RuleError> {
    let raw: RawRules =
        toml::from_str(text).map_err(|error| RuleError::Syntax { reason: error.to_string() })?;
    let mut names = BTreeSet::new();
    let mut rules = Vec::new();
    for rule in raw.rule {
        if !names.insert(rule.name.clone()) {
            return Err(RuleError::DuplicateName { rule: rule.name });
        }
        rules.push(LineRule::compile(rule)?);
    }
    Ok(rules)
}

fn set<'a>(rules: impl Iterator<Item = &'a LineRule>) -> Result<RegexSet, RuleError> {
    let patterns = rules.map(|rule| rule.pattern.as_str());
    RegexSetBuilder::new(patterns)
        .size_limit(MAX_SET_MEMORY)
        .dfa_size_limit(MAX_CACHE_MEMORY)
        .build()
        .map_err(|error| RuleError::Pattern {
            rule: "all rules together".to_owned(),
            key: "pattern",
            reason: error.to_string(),
        })
}
