//! Preconditions of requests: the revision that the process is expected to have.

use crate::error_response::ErrorResponse;
use crate::query::QueryString;
use axum::extract::FromRequestParts;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use longhaul_api::ApiError;
use longhaul_domain::Revision;

/// Extractor for the revision that the client expects, from `?revision=` or `If-Match`. Refuses any other query
/// parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// There is no precondition: every revision is accepted.
    Any,
    /// The revision from the query parameter `revision`.
    Asked(Revision),
    /// The revision from the header `If-Match`.
    Matched(Revision),
}

impl Precondition {
    pub(crate) const fn revision(self) -> Option<Revision> {
        match self {
            Self::Any => None,
            Self::Asked(revision) | Self::Matched(revision) => Some(revision),
        }
    }

    /// Converts an error to a response. A revision conflict gets status 412 if the expected revision came from
    /// `If-Match`.
    pub(crate) fn judge<T>(self, outcome: Result<T, ApiError>) -> Result<T, ErrorResponse> {
        outcome.map_err(|fault| match self {
            Self::Matched(_) if fault.problem().slug == "revision_conflict" => {
                fault.of_kind(412, "revision_conflict").into()
            }
            Self::Matched(_) | Self::Asked(_) | Self::Any => fault.into(),
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Precondition {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let query = QueryString::from_request_parts(parts, state).await?;
        query.only(&["revision"])?;
        let asked = query.whole::<u64>("revision")?.map(Revision);
        match (asked, matched(&parts.headers)?) {
            (None, None) => Ok(Self::Any),
            (Some(asked), None) => Ok(Self::Asked(asked)),
            (asked, Some(matched)) if asked.is_none_or(|asked| asked == matched) => {
                Ok(Self::Matched(matched))
            }
            (_, Some(_)) => Err(ApiError::invalid(
                "revision",
                "the parameter and the header If-Match give different revisions",
            )
            .into()),
        }
    }
}

/// Returns true if the client already has this revision, as its `If-None-Match` header says.
pub(crate) fn is_known(headers: &HeaderMap, revision: u64) -> Result<bool, ApiError> {
    let Some(text) = joined(headers, &IF_NONE_MATCH)? else { return Ok(false) };
    if text.trim() == "*" {
        return Ok(true);
    }
    let own = tag(revision);
    let tags: Vec<EntityTag> =
        text.split(',').map(str::trim).map(EntityTag::read).collect::<Option<_>>().ok_or_else(|| {
            ApiError::unreadable("If-None-Match", &text, &"the header is neither * nor a list of quoted tags")
        })?;
    Ok(tags.iter().any(|tag| tag.quoted == own))
}

/// Formats a revision as an entity tag.
pub(crate) fn tag(revision: u64) -> String {
    format!("\"{revision}\"")
}

/// Returns the revision in `If-Match`. Returns `None` if the request has no `If-Match` header, or if its value is `*`,
/// which matches every revision.
fn matched(headers: &HeaderMap) -> Result<Option<Revision>, ApiError> {
    let Some(text) = joined(headers, &IF_MATCH)? else { return Ok(None) };
    let text = text.trim();
    if text == "*" {
        return Ok(None);
    }
    let unreadable = |why: &str| ApiError::unreadable("If-Match", text, &why);
    let Some(tag) = EntityTag::read(text) else {
        return Err(unreadable("the header is neither * nor one quoted tag, such as \"7\"")
            .help("give the revision on which the decision was based"));
    };
    let revision = tag.quoted.trim_matches('"').parse().ok().filter(|_| !tag.is_weak);
    revision.map(|revision| Some(Revision(revision))).ok_or_else(|| {
        ApiError::new(412, "revision_conflict", format!("the tag {text} is not a revision"))
            .help("read the process again, then repeat the request")
    })
}

/// Entity tag that a client sent.
struct EntityTag<'a> {
    is_weak: bool,
    quoted: &'a str,
}

impl<'a> EntityTag<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (is_weak, quoted) = match text.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
        (!inner.contains('"')).then_some(Self { is_weak, quoted })
    }
}

/// Joins all values of a header with commas.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, ApiError> {
    let mut all = Vec::new();
    for value in headers.get_all(name) {
        let text =
            value.to_str().map_err(|_| ApiError::invalid(name.as_str(), "the header is not plain text"))?;
        all.push(text);
    }
    Ok((!all.is_empty()).then(|| all.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn header_names_one_revision_or_any() {
        let read = |text: &str| matched(&with(IF_MATCH, text));
        assert_eq!(read("\"7\"").unwrap(), Some(Revision(7)));
        assert_eq!(read("*").unwrap(), None);
        for (text, status) in [("7", 400), ("\"1\",\"2\"", 400), ("", 400), ("W/\"7\"", 412), ("\"x\"", 412)]
        {
            assert_eq!(read(text).unwrap_err().problem().status, status, "{text}");
        }
    }

    #[test]
    fn known_revision_is_found_in_any_list() {
        let known = |text: &str| is_known(&with(IF_NONE_MATCH, text), 7);
        for text in ["*", "\"7\"", "W/\"7\"", "\"1\", \"7\""] {
            assert!(known(text).unwrap(), "{text}");
        }
        assert!(!known("\"8\"").unwrap());
        assert!(known("7").is_err());
        assert!(!is_known(&HeaderMap::new(), 7).unwrap());
    }

    fn with(name: HeaderName, text: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(text).unwrap())])
    }
}
