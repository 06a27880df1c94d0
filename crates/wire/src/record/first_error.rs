use super::is_zero;
use longhaul_domain::FirstError;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct FirstErrorRecord {
    kind: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    #[serde(default, skip_serializing_if = "is_zero")]
    on_stdout: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl From<&FirstError> for FirstErrorRecord {
    fn from(error: &FirstError) -> Self {
        let FirstError { kind, message, file, line, column, on_stdout, offset, detail } = error.clone();
        Self { kind, message, file, line, column, on_stdout, offset, detail }
    }
}

impl From<FirstErrorRecord> for FirstError {
    fn from(record: FirstErrorRecord) -> Self {
        let FirstErrorRecord { kind, message, file, line, column, on_stdout, offset, detail } = record;
        Self { kind, message, file, line, column, on_stdout, offset, detail }
    }
}
