//! Work that goes on when its caller goes away.

use crate::error::EngineError;

/// Brings work to its end whether or not somebody waits for the answer: between a commit and its effects a dropped
/// future would leave a process half changed.
///
/// # Errors
/// Those of the work, and [`EngineError::Broken`] if it panicked.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, EngineError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => Err(EngineError::Broken { what: error.to_string() }),
        Err(_) => Err(EngineError::ShuttingDown),
    }
}
