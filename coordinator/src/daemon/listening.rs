//! A place to listen at that is taken: a port, or a unix socket, whose file is made by this process, left by a
//! dead one, or in use.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::unistd::Group;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream};
use tokio_util::either::Either;

use super::open_files;
use crate::access::Who;
use crate::config::{Address, Socket};

/// Connections that wait to be accepted at a unix socket; what the kernel allows if that is less.
const BACKLOG: u32 = 1_024;

/// A peer's socket.
pub(super) type Peer = Either<TcpStream, UnixStream>;

/// Where peers can connect.
#[derive(Debug)]
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix {
        // Removed while nobody else can listen there.
        _file: File,
        listener: UnixListener,
    },
}

/// A socket's file, which goes with it.
#[derive(Debug)]
pub(super) struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        // Where it can't be removed, whoever listens there next finds that nobody answers.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listening {
    /// Listens at an address. The file of a dead process's socket is removed; a coordinator holds its log's
    /// lock by now, so that it is not one that is about to listen.
    pub(super) async fn at(address: &Address) -> anyhow::Result<Listening> {
        let listening = match address {
            Address::Tcp(address) => TcpListener::bind(address)
                .await
                .map(Listening::Tcp)
                .map_err(anyhow::Error::from),
            Address::Unix(socket) => at_socket(socket).await,
        };
        listening.map_err(|error| {
            let io = error.downcast_ref::<io::Error>();
            let remedy = io.map_or("", open_files::remedy);
            error.context(format!("can't listen on {address}{remedy}"))
        })
    }

    /// The next peer, and who it is as far as that tells.
    pub(super) async fn accept(&self) -> io::Result<(Peer, Option<Who>)> {
        match self {
            Listening::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Without it an answer of several frames waits for the client's delayed acknowledgement,
                // 40 ms. A peer that has gone already is noticed by reading.
                let _ = stream.set_nodelay(true);
                Ok((Either::Left(stream), None))
            }
            Listening::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Either::Right(stream), Some(Who::Uid(uid))))
            }
        }
    }
}

async fn at_socket(socket: &Socket) -> anyhow::Result<Listening> {
    if let Some(refusal) = socket.refusal() {
        bail!(refusal);
    }
    let path = &socket.path;
    remove_left(path).await?;
    let unbound = UnixSocket::new_stream()?;
    unbound.bind(path)?;
    let file = File(path.clone());
    // Nobody can connect before it listens, so that nobody does with other permissions.
    if let Some(name) = &socket.group {
        let group = Group::from_name(name)?.with_context(|| format!("there is no group {name}"))?;
        chown(path, None, Some(group.gid.as_raw()))
            .with_context(|| format!("can't give it to group {name}"))?;
    }
    let permissions = std::fs::Permissions::from_mode(socket.mode);
    std::fs::set_permissions(path, permissions).context("can't set its mode")?;
    Ok(Listening::Unix {
        _file: file,
        listener: unbound.listen(BACKLOG)?,
    })
}

async fn remove_left(path: &Path) -> anyhow::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !found.file_type().is_socket() {
        bail!("something else than a socket is there, which is left as it is");
    }
    match UnixStream::connect(path).await {
        Ok(_) => bail!("another process listens there"),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).context("can't remove what a dead process left there")
        }
        Err(error) => Err(error).context("can't tell whether somebody listens there"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(path: &Path) -> Address {
        Address::Unix(Socket::new(path.to_owned()))
    }

    #[tokio::test]
    async fn socket_of_a_dead_process_is_removed_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = Listening::at(&at(&path)).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let refusal = Listening::at(&at(&path)).await.unwrap_err();
        assert!(format!("{refusal:#}").contains("another process listens there"));
        let (peer, accepted) = tokio::join!(UnixStream::connect(&path), first.accept());
        let own = nix::unistd::geteuid().as_raw();
        assert_eq!(accepted.unwrap().1, Some(Who::Uid(own)));
        drop((peer, first));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        std::fs::write(&path, "a letter").unwrap();
        let refusal = Listening::at(&at(&path)).await.unwrap_err();
        assert!(format!("{refusal:#}").contains("something else than a socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a letter");
        let long = folder.path().join("x".repeat(107));
        let refusal = Listening::at(&at(&long)).await.unwrap_err();
        assert!(format!("{refusal:#}").contains("107"));
    }
}
