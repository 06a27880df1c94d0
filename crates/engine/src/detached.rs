//! Work that continues when its caller is dropped.

use crate::error::EngineError;

/// Runs a future to its end even if the caller is dropped. Otherwise a call that is dropped between a commit and its
/// effects would leave a process half changed.
///
/// # Errors
/// The errors of the future; [`EngineError::Broken`] if it panicked.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, EngineError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => Err(EngineError::Broken { what: error.to_string() }),
        Err(_) => Err(EngineError::ShuttingDown),
    }
}
