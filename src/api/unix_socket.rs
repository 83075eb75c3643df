//! The Unix socket as a file: made for its group, never taken from a living daemon, removed at the
//! end.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::FacesError;

/// Owner and group may connect.
const MODE: u32 = 0o660;

#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// Names the socket that this process made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl UnixSocket {
    /// A socket that a dead daemon left behind is replaced.
    ///
    /// # Errors
    /// [`FacesError::SocketInUse`] if somebody answers there, [`FacesError::Socket`] if something
    /// else stands there or the directory is missing.
    pub async fn bind(path: &Path) -> Result<UnixSocket, FacesError> {
        let failed = |source| FacesError::Socket { path: path.into(), source };
        if is_answered(path).await.map_err(failed)? {
            return Err(FacesError::SocketInUse { path: path.into() });
        }
        let bound = || {
            remove_stale(path)?;
            let listener = UnixListener::bind(path)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
            let file = SocketFile { path: path.into(), inode: inode(path)? };
            Ok(UnixSocket { listener, file })
        };
        bound().map_err(failed)
    }

    pub fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

impl SocketFile {
    /// Removes the file, unless another process has put its own there since.
    pub fn remove(self) {
        let ours = inode(&self.path).is_ok_and(|found| found == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "socket not removed");
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    path.symlink_metadata().map(|found| (found.dev(), found.ino()))
}

async fn is_answered(path: &Path) -> io::Result<bool> {
    match UnixStream::connect(path).await {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(false),
            _ => Err(error),
        },
    }
}

/// Only a socket is removed: a path that was mistyped names somebody's file.
fn remove_stale(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::other("something that is no socket stands there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_nobody_answers_is_replaced_and_one_that_lives_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("refit.sock");
        // Closing a listener leaves its file, as a killed daemon does.
        drop(UnixListener::bind(&path).unwrap());
        let socket = UnixSocket::bind(&path).await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, MODE);
        let second = UnixSocket::bind(&path).await;
        assert!(matches!(second, Err(FacesError::SocketInUse { .. })));
        let (_listener, file) = socket.into_parts();
        file.remove();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_in_the_way_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert!(UnixSocket::bind(&path).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn the_socket_of_a_successor_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("refit.sock");
        let (listener, file) = UnixSocket::bind(&path).await.unwrap().into_parts();
        // Kept open under another name, so that the inode is not used again.
        std::fs::rename(&path, directory.path().join("old.sock")).unwrap();
        let _successor = UnixSocket::bind(&path).await.unwrap();
        file.remove();
        assert!(path.exists());
        drop(listener);
    }
}
