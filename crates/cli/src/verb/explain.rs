//! Implements `explain`.

use crate::arguments::ExplainArgs;
use crate::console::Console;
use crate::exit_code::DONE;
use crate::explain::{EXPLANATIONS, explanation};
use crate::failure::CliError;
use serde::Serialize;

/// JSON output for one error code.
#[derive(Serialize)]
struct CodeExplanation<'a> {
    #[serde(rename = "type")]
    slug: &'a str,
    explanation: &'a str,
}

/// JSON output for all error codes.
#[derive(Serialize)]
struct CodeList<'a> {
    schema: &'static str,
    errors: Vec<CodeExplanation<'a>>,
}

/// Explains an error code, or lists all error codes.
pub(crate) fn explain(console: &Console, args: &ExplainArgs) -> Result<i32, CliError> {
    let Some(code) = &args.code else {
        if console.is_json() {
            let all = EXPLANATIONS.iter().map(|(slug, text)| CodeExplanation { slug, explanation: text });
            let document = CodeList { schema: "longhaul/explain/v1", errors: all.collect() };
            console.print_json(&document)?;
            return Ok(DONE);
        }
        let list: String = EXPLANATIONS.iter().map(|(slug, _)| format!("{slug}\n")).collect();
        console.print(&list)?;
        return Ok(DONE);
    };
    let code = code.trim_matches(['[', ']']);
    let text = explanation(code).ok_or_else(|| CliError::Usage {
        what: format!("there is no error code {code:?}"),
        why: None,
        help: "longhaul explain      lists all error codes".to_owned(),
    })?;
    if console.is_json() {
        console.print_json(&CodeExplanation { slug: code, explanation: text })?;
        return Ok(DONE);
    }
    console.print(&format!("{code}\n\n{text}\n"))?;
    Ok(DONE)
}
