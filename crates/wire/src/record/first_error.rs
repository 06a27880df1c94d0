use super::is_zero;
use longhaul_domain::{FirstError, PortHolder};
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
    without_place: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    on_stdout: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port_holder: Option<PortHolderRecord>,
}

#[derive(Serialize, Deserialize)]
struct PortHolderRecord {
    port: u16,
    pid: u32,
    name: String,
}

impl From<&FirstError> for FirstErrorRecord {
    fn from(error: &FirstError) -> Self {
        let FirstError {
            kind,
            message,
            file,
            line,
            column,
            has_place,
            on_stdout,
            offset,
            detail,
            port_holder,
        } = error.clone();
        let without_place = !has_place;
        let port_holder =
            port_holder.map(|PortHolder { port, pid, name }| PortHolderRecord { port, pid, name });
        Self { kind, message, file, line, column, without_place, on_stdout, offset, detail, port_holder }
    }
}

impl From<FirstErrorRecord> for FirstError {
    fn from(record: FirstErrorRecord) -> Self {
        let holder = record.port_holder;
        Self {
            kind: record.kind,
            message: record.message,
            file: record.file,
            line: record.line,
            column: record.column,
            has_place: !record.without_place,
            on_stdout: record.on_stdout,
            offset: record.offset,
            detail: record.detail,
            port_holder: holder.map(|PortHolderRecord { port, pid, name }| PortHolder { port, pid, name }),
        }
    }
}
