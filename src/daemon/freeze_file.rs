//! The file `FREEZE`: the stop that works even when the daemon does not.
//!
//! It is looked for beside the store and, under systemd, in the state directory. The loop polls it
//! so that the engine can say why nothing starts; the sender looks once more right before it sends.
//! A place that cannot be looked at counts as frozen: doubt never starts anything.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::engine::input::FreezeFile;

/// What the file is called, whatever is in it.
pub const FREEZE_FILE: &str = "FREEZE";

/// Where the file may stand.
#[derive(Debug, Clone)]
pub struct FreezePlaces {
    places: Vec<PathBuf>,
}

impl FreezePlaces {
    /// `store` is the database file, `state_directory` what systemd says it is.
    pub fn of(store: &Path, state_directory: Option<&Path>) -> FreezePlaces {
        let mut places = Vec::new();
        for directory in store.parent().into_iter().chain(state_directory) {
            let place = directory.join(FREEZE_FILE);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        FreezePlaces { places }
    }

    /// One stat per place: microseconds, so the sender may do it as its last act.
    pub fn look(&self) -> FreezeFile {
        let found = self.places.iter().find(|place| match place.symlink_metadata() {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::NotFound,
        });
        match found {
            Some(place) => FreezeFile::Present(place.display().to_string().into()),
            None => FreezeFile::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(file: &Path) -> FreezeFile {
        FreezeFile::Present(file.display().to_string().into())
    }

    #[test]
    fn either_place_freezes() {
        let store = tempfile::tempdir().unwrap();
        let state = tempfile::tempdir().unwrap();
        let places = FreezePlaces::of(&store.path().join("refit.db"), Some(state.path()));
        assert_eq!(places.look(), FreezeFile::Absent);
        for directory in [store.path(), state.path()] {
            let file = directory.join(FREEZE_FILE);
            std::fs::write(&file, "").unwrap();
            assert_eq!(places.look(), present(&file));
            std::fs::remove_file(file).unwrap();
        }
        assert_eq!(places.look(), FreezeFile::Absent);
    }

    #[test]
    fn a_dangling_link_and_a_place_that_cannot_be_read_freeze() {
        let directory = tempfile::tempdir().unwrap();
        let places = FreezePlaces::of(&directory.path().join("refit.db"), None);
        std::os::unix::fs::symlink("/nowhere/at/all", directory.path().join(FREEZE_FILE)).unwrap();
        assert_eq!(places.look(), present(&directory.path().join(FREEZE_FILE)));

        let file = directory.path().join("not-a-directory");
        std::fs::write(&file, "").unwrap();
        let places = FreezePlaces::of(&file.join("refit.db"), None);
        assert_eq!(places.look(), present(&file.join(FREEZE_FILE)));
    }
}
