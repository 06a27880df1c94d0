//! The query of a request.

use crate::fault::Fault;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use longhaul_domain::Revision;
use std::fmt::Display;
use std::str::FromStr;

/// The parameters of a request, decoded, in their order. A name may come more than once.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self { pairs: form_urlencoded::parse(text.as_bytes()).into_owned().collect() }
    }

    /// Refuses parameters that the route does not know: a misspelt filter must not list everything.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Fault> {
        match self.pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                Err(Fault::new(400, "invalid_request", format!("there is no parameter {name:?} here"))
                    .help(format!("the parameters are {}", known.join(", "))))
            }
        }
    }

    /// Every value of a parameter; empty ones do not count.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(found, value)| found == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// The last value of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// The last value of a parameter, read as what it stands for.
    pub(crate) fn read<T>(&self, name: &str) -> Result<Option<T>, Fault>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.text(name)
            .map(|text| text.parse().map_err(|error: T::Err| invalid(name, text, &error)))
            .transpose()
    }

    /// Whether a parameter says `true`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(text) => Err(invalid(name, text, &"it is neither true nor false")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// The revision that a command was decided on, from `?revision=`; any other parameter is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected(pub(crate) Option<Revision>);

impl<S: Send + Sync> FromRequestParts<S> for Expected {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let query = Query::from_request_parts(parts, state).await?;
        query.only(&["revision"])?;
        // An empty one is a variable that was not set, and must not switch the guard off.
        if query.pairs.iter().any(|(_, value)| value.is_empty()) {
            return Err(invalid("revision", "", &"it is empty"));
        }
        Ok(Self(query.read::<u64>("revision")?.map(Revision)))
    }
}

/// A parameter that cannot be read.
pub(crate) fn invalid(name: &str, text: &str, why: &dyn Display) -> Fault {
    Fault::new(400, "invalid_request", format!("{text:?} is no {name}")).because(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_may_repeat() {
        let query = Query::parse("id=a%20b&id=c+d&empty=&n=7");
        assert_eq!(query.all("id").collect::<Vec<_>>(), ["a b", "c d"]);
        assert_eq!(query.text("empty"), None);
        assert_eq!(query.read::<u32>("n").unwrap(), Some(7));
        assert!(query.read::<u32>("id").is_err());
    }

    #[test]
    fn misspelt_parameter_is_refused() {
        let query = Query::parse("sesion=x");
        assert!(query.only(&["session"]).is_err());
        assert!(Query::parse("session=x").only(&["session"]).is_ok());
    }
}
