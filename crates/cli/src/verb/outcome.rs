//! Implements the commands `result` and `error`, with which a managed command reports its own result or error.

use super::progress::enclosing;
use crate::arguments::{ErrorArgs, ResultArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use longhaul_client::RequestPath;
use longhaul_wire::api::{ActionReply, UpdateRequest};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Maximum length of a result, in bytes. The manager refuses longer results.
const MAX_RESULT_LEN: usize = 64 * 1024;
/// Maximum number of bytes that are read from a file. The file may be longer than a result, because white space is not
/// part of the result.
const MAX_FILE_LEN: usize = 1024 * 1024;
/// Maximum number of digits of a number in an error message.
const MAX_SHOWN_DIGITS: usize = 40;

/// Sends the result of a process to the manager.
pub(crate) async fn result(context: &VerbContext, args: &ResultArgs) -> Result<i32, CliError> {
    let id = enclosing(args.id.as_deref(), "longhaul result JSON --id ID")?;
    let text = match args.result.strip_prefix('@') {
        Some(file) => content(Path::new(file))?,
        None => args.result.clone(),
    };
    report(context, id, UpdateRequest { result: Some(parsed(&text)?), ..UpdateRequest::default() }).await
}

/// Parses the JSON of a result.
fn parsed(text: &str) -> Result<serde_json::Value, CliError> {
    if text.len() > MAX_FILE_LEN {
        return Err(CliError::Usage {
            what: "the result is too long".to_owned(),
            why: Some(format!("a result has at most {MAX_RESULT_LEN} bytes")),
            help: "write the data to a file, and report the path of the file".to_owned(),
        });
    }
    if let Some(number) = huge_integer(text) {
        let shown: String = number.chars().take(MAX_SHOWN_DIGITS).collect();
        return Err(CliError::Usage {
            what: format!("the integer {shown} in the result is too large"),
            why: Some("an integer has at most 64 bits, so its last digits would be lost".to_owned()),
            help: "write the integer in quotes to report it as a text".to_owned(),
        });
    }
    serde_json::from_str(text).map_err(|error| CliError::Usage {
        what: "the result is not JSON".to_owned(),
        why: Some(error.to_string()),
        help: r#"give JSON such as '{"rows": 3}', or @FILE; a text needs quotes inside: '"done"'"#.to_owned(),
    })
}

/// Returns the first integer in a JSON text that has more than 64 bits. A JSON parser would round such an integer.
fn huge_integer(text: &str) -> Option<&str> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    // Outside of quoted texts, these characters occur only in numbers and in the words `true`, `false` and `null`.
    outside_texts(text).find_map(|piece| {
        piece.split(|c| !is_number(c)).find(|word| {
            let digits = word.strip_prefix('-').unwrap_or(word);
            let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_integer && word.parse::<i64>().is_err() && word.parse::<u64>().is_err()
        })
    })
}

/// Returns the pieces of a JSON text that are not inside of quotes.
fn outside_texts(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_inside, mut is_escaped) = (false, false);
    text.split(move |c: char| {
        let escaped = std::mem::take(&mut is_escaped);
        match c {
            '"' if !(is_inside && escaped) => {
                is_inside = !is_inside;
                true
            }
            '\\' if is_inside => {
                is_escaped = !escaped;
                true
            }
            _ => is_inside,
        }
    })
}

/// Sends the error message of a process to the manager.
pub(crate) async fn error(context: &VerbContext, args: &ErrorArgs) -> Result<i32, CliError> {
    let id = enclosing(args.id.as_deref(), "longhaul error TEXT --id ID")?;
    report(context, id, UpdateRequest { error: Some(args.error.clone()), ..UpdateRequest::default() }).await
}

async fn report(context: &VerbContext, id: &str, update: UpdateRequest) -> Result<i32, CliError> {
    let outcome: ActionReply = context.client.amend(&RequestPath::process(id), &update).await?;
    if context.console.is_json() {
        context.console.print_json(&outcome)?;
    }
    Ok(DONE)
}

/// Returns the content of a file, or of standard input for `-`.
fn content(file: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    // Read one byte more than allowed, so that a file that is too long can be detected.
    let limit = (MAX_FILE_LEN as u64).saturating_add(1);
    let read = if file.as_os_str() == "-" {
        std::io::stdin().take(limit).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|opened| opened.take(limit).read_to_string(&mut text))
    };
    read.map_err(|source| CliError::file("read", file, source))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_result_is_refused_because_of_its_size_and_not_because_its_end_was_cut() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("r.json");
        std::fs::write(&file, format!("\"{}\"", "x".repeat(10 * MAX_FILE_LEN))).unwrap();
        let error = parsed(&content(&file).unwrap()).unwrap_err().to_string();
        assert_eq!(error, "the result is too long");
    }

    #[test]
    fn integer_that_would_be_rounded_is_refused() {
        for (text, huge) in [
            ("12345678901234567890123", Some("12345678901234567890123")),
            (r#"{"a\"1": [1, -9223372036854775809]}"#, Some("-9223372036854775809")),
            ("[18446744073709551615,-9223372036854775808,1e300,1.5]", None),
            (r#"{"12345678901234567890123": "12345678901234567890123 \\"}"#, None),
            (r#""\\\"12345678901234567890123""#, None),
        ] {
            assert_eq!(huge_integer(text), huge, "{text}");
            assert_eq!(parsed(text).is_err(), huge.is_some(), "{text}");
        }
    }
}
