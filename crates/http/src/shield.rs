//! Work that goes on when its client goes away.

use crate::fault::Fault;
use longhaul_engine::EngineError;

/// Brings work to its end whether or not somebody waits for the answer: a request is dropped when its client hangs up,
/// and between a commit and its effects that would leave a process half changed.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::spawn(work).await {
        Ok(done) => Ok(done?),
        Err(error) => {
            Err(Fault::new(500, "internal", "the request could not be carried out")
                .because(error.to_string()))
        }
    }
}
