//! `explain`

use crate::arguments::ExplainArgs;
use crate::console::Console;
use crate::exit_code::DONE;
use crate::explain::{EXPLANATIONS, explanation};
use crate::failure::Failure;

/// Explains an error, or lists all that can be explained.
pub(crate) fn explain(console: &Console, args: &ExplainArgs) -> Result<i32, Failure> {
    let Some(code) = &args.code else {
        let list: String = EXPLANATIONS.iter().map(|(slug, _)| format!("{slug}\n")).collect();
        console.print(&list)?;
        return Ok(DONE);
    };
    let code = code.trim_matches(['[', ']']);
    let text = explanation(code).ok_or_else(|| Failure::Usage {
        what: format!("no error is called {code:?}"),
        why: None,
        help: "longhaul explain      lists them all".to_owned(),
    })?;
    console.print(&format!("{code}\n\n{text}\n"))?;
    Ok(DONE)
}
