//! A disk that loses its power: what was synced is there; of the rest any part may be, torn at
//! sectors and in any order.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use refit::model::draw;

use super::trace::Change;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Which parts of what was not synced reach the disk; drawn anew for each loss.
const KEPT: [f64; 5] = [0.0, 0.2, 0.5, 0.9, 1.0];

#[derive(Debug, Clone)]
enum Unsynced {
    Bytes { at: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Clone, Default)]
struct File {
    synced: Vec<u8>,
    /// In the order in which it was asked for.
    unsynced: Vec<Unsynced>,
    /// Where the last write without a place of its own ended.
    end: usize,
}

#[derive(Debug, Clone)]
enum Naming {
    Created(PathBuf, usize),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

/// Files by number, and their names as the process sees them and as they are on disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    files: Vec<File>,
    seen: BTreeMap<PathBuf, usize>,
    names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<Naming>,
    /// It answers syncs of files and does nothing.
    pretends: bool,
}

/// What is left after a loss of power.
pub type Image = BTreeMap<PathBuf, Vec<u8>>;

impl Disk {
    /// A disk that does not do what it is there for.
    pub fn pretending() -> Disk {
        Disk { pretends: true, ..Disk::default() }
    }

    /// What a call did.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Open { path, emptied } => self.open(path, *emptied),
            Change::Write { path, at, bytes } => self.write(path, Some(*at), bytes),
            Change::Append { path, bytes } => self.write(path, None, bytes),
            Change::Length { path, length } => {
                if let Some(file) = self.file(path) {
                    file.unsynced.push(Unsynced::Length(*length));
                }
            }
            Change::Sync { path } => self.sync(path),
            Change::Rename { from, to } => {
                if let Some(file) = self.seen.remove(from) {
                    self.seen.insert(to.clone(), file);
                }
                self.unsynced_names.push(Naming::Renamed(from.clone(), to.clone()));
            }
            Change::Remove { path } => {
                self.seen.remove(path);
                self.unsynced_names.push(Naming::Removed(path.clone()));
            }
        }
    }

    fn open(&mut self, path: &Path, emptied: bool) {
        if !self.seen.contains_key(path) {
            self.files.push(File::default());
            let number = self.files.len() - 1;
            self.seen.insert(path.into(), number);
            self.unsynced_names.push(Naming::Created(path.into(), number));
        }
        let file = self.file(path).expect("it is there by now");
        file.end = 0;
        if emptied {
            file.unsynced.push(Unsynced::Length(0));
        }
    }

    fn write(&mut self, path: &Path, at: Option<usize>, bytes: &[u8]) {
        let Some(file) = self.file(path) else { return };
        let at = at.unwrap_or(file.end);
        file.end = at + bytes.len();
        file.unsynced.push(Unsynced::Bytes { at, bytes: bytes.into() });
    }

    fn sync(&mut self, path: &Path) {
        let pretends = self.pretends;
        match self.file(path) {
            Some(_) if pretends => {}
            Some(file) => {
                for change in std::mem::take(&mut file.unsynced) {
                    change.reach(&mut file.synced, |_| true);
                }
            }
            // The directory.
            None => {
                for naming in std::mem::take(&mut self.unsynced_names) {
                    naming.reach(&mut self.names);
                }
            }
        }
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        let number = *self.seen.get(path)?;
        Some(&mut self.files[number])
    }

    /// Whether anything could be lost now.
    pub fn is_dirty(&self) -> bool {
        !self.unsynced_names.is_empty() || self.files.iter().any(|file| !file.unsynced.is_empty())
    }

    /// The power goes; which of what was not synced is there decides the seed. Names change in the
    /// order in which they were changed, as in every journal.
    pub fn lose_power(&self, seed: u64) -> Image {
        let chance = |what: &str, number: usize| draw::unit(seed, "power", what, number as u64);
        let mut names = self.names.clone();
        let kept = chance("names", 0) * (self.unsynced_names.len() + 1) as f64;
        for naming in &self.unsynced_names[..kept as usize] {
            naming.reach(&mut names);
        }
        let share = KEPT[(chance("share", 0) * KEPT.len() as f64) as usize];
        let is_shuffled = chance("shuffled", 0) < 0.5;
        let content = |number: usize| {
            let file = &self.files[number];
            let mut order: Vec<usize> = (0..file.unsynced.len()).collect();
            if is_shuffled {
                order.sort_by_key(|at| (chance("order", *at) * 1e9) as u64);
            }
            let (mut bytes, mut drawn) = (file.synced.clone(), 0);
            for at in order {
                file.unsynced[at].reach(&mut bytes, |_| {
                    drawn += 1;
                    chance("sector", number * 1_000_000 + drawn) < share
                });
            }
            bytes
        };
        names.into_iter().map(|(path, number)| (path, content(number))).collect()
    }
}

impl Unsynced {
    /// Puts those parts into the content that the judge of sectors takes.
    fn reach(&self, content: &mut Vec<u8>, mut takes: impl FnMut(usize) -> bool) {
        match self {
            Unsynced::Length(length) => {
                if takes(*length) {
                    content.resize(*length, 0);
                }
            }
            Unsynced::Bytes { at, bytes } => {
                let mut from = 0;
                while from < bytes.len() {
                    let to = (from + SECTOR - (at + from) % SECTOR).min(bytes.len());
                    if takes(at + from) {
                        content.resize(content.len().max(at + to), 0);
                        content[at + from..at + to].copy_from_slice(&bytes[from..to]);
                    }
                    from = to;
                }
            }
        }
    }
}

impl Naming {
    fn reach(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Naming::Created(path, number) => drop(names.insert(path.clone(), *number)),
            Naming::Removed(path) => drop(names.remove(path)),
            Naming::Renamed(from, to) => {
                if let Some(number) = names.remove(from) {
                    names.insert(to.clone(), number);
                }
            }
        }
    }
}

/// Puts an image in the place of what is in the directory.
pub fn restore(image: &Image, directory: &Path) {
    fs::remove_dir_all(directory).ok();
    fs::create_dir_all(directory).unwrap();
    for (path, bytes) in image {
        fs::write(directory.join(path.file_name().unwrap()), bytes).unwrap();
    }
}
