//! Query strings of requests.

use crate::error_response::ErrorResponse;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use longhaul_api::ApiError;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

/// Names of the parameters that may be repeated, on the routes that accept these parameters.
const LISTS: &[&str] = &["id", "status", "type"];

/// Decoded parameters of a query string in their original order. A name may occur more than once.
#[derive(Debug, Default)]
pub(crate) struct QueryString {
    pairs: Vec<(String, String)>,
}

impl QueryString {
    pub(crate) fn parse(text: &str) -> Self {
        Self { pairs: form_urlencoded::parse(text.as_bytes()).into_owned().collect() }
    }

    #[cfg(feature = "decoders")]
    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.pairs
    }

    /// Refuses unknown parameters, because a request with a misspelled filter must not list all processes. Also refuses
    /// a repeated parameter that may have only one value.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        if let Some(name) = self.repeated() {
            return Err(ApiError::new(
                400,
                "invalid_request",
                format!("the parameter {name:?} is given twice"),
            )
            .help("give the parameter once"));
        }
        match self.pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                Err(ApiError::new(400, "invalid_request", format!("this request has no parameter {name:?}"))
                    .help(match known {
                        [] => "this request has no parameters".to_owned(),
                        known => format!("the parameters are {}", known.join(", ")),
                    }))
            }
        }
    }

    /// Returns a parameter that is repeated although it may have only one value.
    fn repeated(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        let mut names = self.pairs.iter().map(|(name, _)| name.as_str()).filter(|name| !LISTS.contains(name));
        names.find(|name| !seen.insert(*name))
    }

    /// Returns all values of a parameter that are not empty.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(found, value)| found == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Returns the value of a parameter. Returns `None` if the parameter is missing or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// Parses the value of a parameter. Returns `None` if the parameter is missing or empty.
    pub(crate) fn read<T>(&self, name: &str) -> Result<Option<T>, ApiError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.text(name)
            .map(|text| text.parse().map_err(|error: T::Err| ApiError::unreadable(name, text, &error)))
            .transpose()
    }

    /// Parses the value of a parameter. Refuses an empty value, because it usually comes from an unset shell variable
    /// and must not disable a precondition.
    pub(crate) fn whole<T>(&self, name: &str) -> Result<Option<T>, ApiError>
    where
        T: FromStr,
        T::Err: Display,
    {
        if self.pairs.iter().any(|(found, value)| found == name && value.is_empty()) {
            return Err(ApiError::unreadable(name, "", &"the value is empty"));
        }
        self.read(name)
    }

    /// Returns true if the parameter is `true` or `1`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.truth(name)?.unwrap_or(false))
    }

    /// Parses a boolean parameter. Returns `None` if the parameter is missing or empty.
    pub(crate) fn truth(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some("false" | "0") => Ok(Some(false)),
            Some("true" | "1") => Ok(Some(true)),
            Some(text) => Err(ApiError::unreadable(name, text, &"the value is neither true nor false")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for QueryString {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_may_repeat() {
        let query = QueryString::parse("id=a%20b&id=c+d&empty=&n=7");
        assert_eq!(query.all("id").collect::<Vec<_>>(), ["a b", "c d"]);
        assert_eq!(query.text("empty"), None);
        assert_eq!(query.read::<u32>("n").unwrap(), Some(7));
        assert!(query.read::<u32>("id").is_err());
    }

    #[test]
    fn misspelt_parameter_is_refused() {
        let query = QueryString::parse("sesion=x");
        assert!(query.only(&["session"]).is_err());
        assert!(QueryString::parse("session=x").only(&["session"]).is_ok());
    }
}
