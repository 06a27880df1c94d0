//! Detects unknown environment variables that start with `LONGHAUL_`.

use crate::config::key::{ConfigKey, KEYS};
use crate::config::layers::{SLOTS_VARIABLE, below_levels_of};
use crate::config::nearest::nearest;
use std::collections::BTreeMap;
use std::fmt;

/// An environment variable that starts with `LONGHAUL_` but has no meaning.
///
/// An unknown variable is not an error, because an environment is inherited and may contain variables of other versions
/// or other tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Name of the unknown environment variable.
    pub name: String,
    /// Most similar variable that has a meaning. `None` if no variable is similar.
    pub nearest: Option<String>,
}

/// Known variables that are not configuration keys. The client reads them, or longhaul sets them for a managed process.
const OTHERS: &[&str] = &[
    "LONGHAUL_ATTEMPT",
    "LONGHAUL_ID",
    "LONGHAUL_NO_AUTOSTART",
    "LONGHAUL_SESSION",
    longhaul_shim::SHIM_VARIABLE,
    "LONGHAUL_SOCKET",
    SLOTS_VARIABLE,
];

/// Prefix of the environment variables that longhaul sets for hooks.
const HOOKS: &str = "LONGHAUL_EVENT";

/// Returns all unknown variables of an environment that start with `LONGHAUL_`.
#[must_use]
pub fn strays(environment: &BTreeMap<String, String>) -> Vec<UnknownVariable> {
    let keys: Vec<String> = KEYS.iter().map(ConfigKey::variable).collect();
    let known: Vec<&str> = keys.iter().map(String::as_str).chain(OTHERS.iter().copied()).collect();
    environment
        .keys()
        .filter(|name| name.starts_with("LONGHAUL_"))
        .filter(|name| {
            !name.starts_with(HOOKS) && !known.contains(&name.as_str()) && below_levels_of(name).is_none()
        })
        .map(|name| UnknownVariable {
            name: name.clone(),
            nearest: nearest(name, known.iter().copied()).map(str::to_owned),
        })
        .collect()
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment variable {} is unknown and has no effect", self.name)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_variable_is_reported_with_the_nearest_name() {
        let environment = |names: &[&str]| {
            names.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect::<BTreeMap<_, _>>()
        };
        let found =
            strays(&environment(&["LONGHAUL_LIMITS_MAX_PARALEL", "LONGHAUL_XYZZY_OF_OTHERS", "HOME"]));
        let reported: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            reported,
            [
                "the environment variable LONGHAUL_LIMITS_MAX_PARALEL is unknown and has no effect; did you mean LONGHAUL_LIMITS_MAX_PARALLEL?",
                "the environment variable LONGHAUL_XYZZY_OF_OTHERS is unknown and has no effect",
            ]
        );
        let ours =
            ["LONGHAUL_STATE_DIR", "LONGHAUL_LIMITS_LEVEL_2_MEMORY", "LONGHAUL_KEYS_LIMIT", "LONGHAUL_ID"];
        assert_eq!(strays(&environment(&ours)), []);
    }
}
