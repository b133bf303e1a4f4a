//! Waiting for something to come true, never longer than a deadline.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until there is something to see, and gives it.
///
/// # Errors
/// The look's own error, or after `longest` one that names `what` was waited for.
pub(crate) async fn until<T>(
    what: &str,
    longest: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + longest;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            bail!("{what} did not happen within {} s", longest.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
