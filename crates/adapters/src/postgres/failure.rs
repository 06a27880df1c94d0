//! Maps errors of the server to errors of a store.

use crate::rows::corrupt;
use longhaul_ports::{BoxedError, StoreError, StoreRejection};
use std::time::Duration;
use tokio_postgres::error::SqlState;

/// Maximum time to wait for the server.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);

/// Maps an error of a statement other than a commit. The transaction of the statement has no effect.
pub(super) fn of_statement(error: tokio_postgres::Error) -> StoreError {
    let Some(db) = error.as_db_error() else { return unavailable(error) };
    match db.code() {
        code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
            StoreError::ReadOnly { why: "the PostgreSQL server accepts no writes".to_owned() }
        }
        code if *code == SqlState::DISK_FULL => StoreError::Refused(StoreRejection::Full),
        code if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED => {
            corrupt(db.message())
        }
        _ => unavailable(error),
    }
}

pub(super) fn unavailable(source: impl Into<BoxedError>) -> StoreError {
    StoreError::Unavailable { source: source.into() }
}

/// Returns true if the schema or one of its tables does not exist.
pub(super) fn is_missing_schema(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|code| *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME)
}

/// Waits for an answer of the server.
pub(super) async fn answered<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(of_statement),
        Err(_) => Err(unavailable("the PostgreSQL server did not answer within 15 s")),
    }
}
