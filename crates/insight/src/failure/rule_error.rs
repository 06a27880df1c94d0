//! Errors in the rules that a user has written.

use super::rule_set::MAX_USER_RULES;

/// Reason why rules were refused.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The text is not TOML, or a rule has an unknown or missing key.
    #[error("cannot read the rules: {reason}; each rule is a [[rule]] table with name, kind and pattern")]
    Syntax {
        /// Message of the TOML parser, with the position.
        reason: String,
    },
    /// There are too many rules.
    #[error("there are {count} rules; use at most {}", MAX_USER_RULES)]
    TooManyRules {
        /// Number of rules.
        count: usize,
    },
    /// A name or a kind is empty, is too long, or has characters other than letters, digits, `_` and `-`.
    #[error(
        "rule {rule:?}: {key} {value:?} is not a slug; use 1 to 64 lowercase letters, digits, '_' and '-'"
    )]
    NotASlug {
        /// Name of the invalid rule.
        rule: String,
        /// Invalid field: `name` or `kind`.
        key: &'static str,
        /// Refused value.
        value: String,
    },
    /// Two rules have the same name.
    #[error("rule {rule:?}: another rule has the same name; give each rule its own name")]
    DuplicateName {
        /// Name that both rules have.
        rule: String,
    },
    /// A regular expression is invalid or too large.
    #[error("rule {rule:?}: {key} is not a usable regular expression: {reason}")]
    Pattern {
        /// Name of the rule.
        rule: String,
        /// Key that contains the regular expression.
        key: &'static str,
        /// Message of the regular expression parser.
        reason: String,
    },
    /// The message uses a group that the pattern does not have.
    #[error(
        "rule {rule:?}: message uses ${{{group}}}, but pattern has no group (?P<{group}>…); add the group"
    )]
    UnknownGroup {
        /// Name of the rule.
        rule: String,
        /// Name of the missing group.
        group: String,
    },
    /// A weight is greater than 100.
    #[error("rule {rule:?}: weight {weight} is too great; use 0 to 100")]
    WeightTooGreat {
        /// Name of the rule.
        rule: String,
        /// Refused weight.
        weight: u8,
    },
    /// The block of a rule has no condition that ends it.
    #[error("rule {rule:?}: the block has no end; set until, while or max_lines")]
    EndlessBlock {
        /// Name of the rule.
        rule: String,
    },
}
