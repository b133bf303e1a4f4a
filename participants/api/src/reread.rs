//! What is made of files, and made again when they change, so that a certificate or a token is exchanged
//! without a restart.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

/// How often the files are looked at. They are compared by what is in them: a file may be put in place
/// of another with an older time, as orchestrators do by a symbolic link.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Files that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// One can't be read.
    #[error("can't read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// They are not as they must be.
    #[error("{0}")]
    Unusable(String),
}

/// What `make` makes of what the files hold, in the same order. While anybody has the receiver, they are
/// looked at every two seconds; where they have changed and can't be used, what there was stays, and the log
/// says so. `what` names it there. To be called within a tokio runtime.
///
/// # Errors
/// [`FilesError`], if they can't be used now.
pub fn reread<T: Send + Sync + 'static>(
    what: &'static str,
    paths: Vec<PathBuf>,
    make: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + 'static,
) -> Result<watch::Receiver<T>, FilesError> {
    let mut seen = read(&paths)?;
    let (sender, receiver) = watch::channel(make(&seen).map_err(FilesError::Unusable)?);
    if paths.is_empty() {
        return Ok(receiver);
    }
    tokio::spawn(async move {
        let mut said = String::new();
        while !sender.is_closed() {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let asked = paths.clone();
            let Ok(found) = tokio::task::spawn_blocking(move || read(&asked)).await else {
                return;
            };
            let made = match found {
                Ok(found) if found == seen => continue,
                Ok(found) => {
                    seen = found;
                    make(&seen).map_err(FilesError::Unusable)
                }
                Err(error) => Err(error),
            };
            match made {
                Ok(made) => {
                    said.clear();
                    tracing::info!("{what} was read again, since its files have changed");
                    sender.send_replace(made);
                }
                Err(error) => say_once(what, &error, &mut said),
            }
        }
    });
    Ok(receiver)
}

fn read(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, FilesError> {
    let contents = paths.iter().map(|path| {
        std::fs::read(path).map_err(|source| FilesError::Unreadable {
            path: path.clone(),
            source,
        })
    });
    contents.collect()
}

fn say_once(what: &str, error: &FilesError, said: &mut String) {
    let cause = match error {
        FilesError::Unreadable { source, .. } => format!("{error}: {source}"),
        FilesError::Unusable(_) => error.to_string(),
    };
    if *said != cause {
        tracing::error!(
            error = cause,
            "{what} stays as it was: its files can't be used"
        );
        *said = cause;
    }
}
