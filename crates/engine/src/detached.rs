//! Runs work that continues when the future of its caller is dropped.

use crate::error::EngineError;

/// Runs a future to its end even if the caller is dropped. Without this, a call that is dropped between a commit and
/// its effects would leave a process half changed.
///
/// # Errors
/// Returns the errors of the future, or [`EngineError::Broken`] if the future panicked.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, EngineError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => Err(EngineError::Broken { what: error.to_string() }),
        Err(_) => Err(EngineError::ShuttingDown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[tokio::test]
    async fn panic_of_the_work_is_an_internal_error() {
        let broken: Result<(), _> = run_to_completion(async { panic!("the test says so") }).await;
        let Err(EngineError::Broken { what }) = broken else { panic!("{broken:?}") };
        assert!(what.contains("the test says so"), "{what}");
    }

    #[test]
    fn work_that_ends_with_the_runtime_is_a_shutdown() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut work = pin!(run_to_completion(std::future::pending::<Result<(), EngineError>>()));
        let mut context = Context::from_waker(Waker::noop());
        let entered = runtime.enter();
        assert!(work.as_mut().poll(&mut context).is_pending());
        drop(entered);
        drop(runtime);
        let ended = work.as_mut().poll(&mut context);
        assert!(matches!(ended, Poll::Ready(Err(EngineError::ShuttingDown))), "{ended:?}");
    }
}
