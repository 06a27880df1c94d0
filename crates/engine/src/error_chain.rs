//! Formats an error together with its causes.

use std::error::Error;

/// Returns an error and all its causes in one line. A cause is omitted if the text already ends with it.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let (mut reported, mut cause) = (error.to_string(), error.source());
    while let Some(behind) = cause {
        let said = behind.to_string();
        if !reported.ends_with(&said) {
            reported.push_str(": ");
            reported.push_str(&said);
        }
        cause = behind.source();
    }
    reported
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Layer {
        #[error("outer error")]
        Top(#[source] Box<Self>),
        #[error("middle error: root error")]
        Middle(#[source] Box<Self>),
        #[error("root error")]
        Bottom,
    }

    #[test]
    fn every_cause_is_printed_once() {
        let middle = Layer::Middle(Box::new(Layer::Bottom));
        assert_eq!(with_causes(&Layer::Top(Box::new(middle))), "outer error: middle error: root error");
        assert_eq!(with_causes(&Layer::Top(Box::new(Layer::Bottom))), "outer error: root error");
    }
}
