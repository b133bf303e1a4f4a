//! Waiting: never longer than a deadline, and saying what for.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const POLL: Duration = Duration::from_millis(10);

/// Polls until the condition holds.
///
/// # Errors
/// After `limit`, naming what was waited for; what the condition itself fails with at once.
pub async fn until(
    what: &str,
    limit: Duration,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    until_some(what, limit, async || Ok(holds().await?.then_some(()))).await
}

/// Polls until there is a value.
///
/// # Errors
/// As of [`until`].
pub async fn until_some<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("waited {limit:?} in vain: {what}");
        }
        tokio::time::sleep(POLL).await;
    }
}
