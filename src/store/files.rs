//! The files around the database: the lock, the generation id, and who is who on disk.
//!
//! The lock is a flock on a file of its own, held for life: it goes when the process goes, and
//! readers need not take it. The generation id stands in the store and in a file beside it, so
//! that a store that vanished is noticed and never silently begun anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::model::Wall;

use super::error::StoreError;

/// The longest content of the small files: a pid, a UUID.
const SMALL_FILE_LIMIT: u64 = 256;
/// How often a lock that somebody has is tried, in case it is only being asked about.
const LOCK_TRIES: u32 = 5;
/// Between two tries; a question holds the lock for less than a tenth of it.
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// Only the daemon's user may read what it knows of a fleet.
const FILE_MODE: u32 = 0o600;

/// The store and every file beside it.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub store: PathBuf,
    pub wal: PathBuf,
    /// Of a change made before there was a log.
    pub journal: PathBuf,
    pub shared_memory: PathBuf,
    pub lock: PathBuf,
    pub generation: PathBuf,
    /// Where a first start builds the store before it gets its name.
    pub draft: PathBuf,
}

impl Paths {
    /// Follows links, so that one store has one lock by whatever path it is reached.
    ///
    /// # Errors
    /// [`StoreError::NoDirectory`]; [`StoreError::Io`] if a link leads nowhere: the disk behind it
    /// may only not be mounted, so that nothing must be created in its place.
    pub fn beside(store: &Path) -> Result<Paths, StoreError> {
        match resolve(store) {
            Ok(store) => Ok(Paths::of(store)),
            Err(error) => Err(match store.parent() {
                Some(directory) if fs::symlink_metadata(directory).is_err_and(is_missing) => {
                    StoreError::NoDirectory { directory: directory.into() }
                }
                _ => StoreError::io("find", store)(error),
            }),
        }
    }

    /// Where the store goes that is moved aside at this instant, with all that belongs to it, so
    /// that it can still be opened there.
    pub fn aside(&self, now: Wall) -> Paths {
        let mut name = self.store.clone().into_os_string();
        name.push(format!(".lost-{}", now.0));
        Paths::of(name.into())
    }

    fn of(store: PathBuf) -> Paths {
        let with = |suffix: &str| {
            let mut name = store.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        Paths {
            wal: with("-wal"),
            journal: with("-journal"),
            shared_memory: with("-shm"),
            lock: with(".lock"),
            generation: with(".generation"),
            draft: with(".draft"),
            store,
        }
    }

    /// The generation id in the file beside the store; `None` without the file.
    pub fn read_generation(&self) -> Result<Option<String>, StoreError> {
        match File::open(&self.generation).and_then(read_small) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &self.generation)(error)),
        }
    }

    /// Of a store that is not there: one that should be, or that left its log, is lost and not new.
    ///
    /// # Errors
    /// [`StoreError::Replaced`], or [`StoreError::Io`] if that cannot be told.
    pub fn expect_new(&self, recorded: Option<&str>) -> Result<(), StoreError> {
        let log = Inode::of(&self.wal).map_err(StoreError::io("read", &self.wal))?;
        let left = match (recorded, log) {
            (Some(_), _) => &self.generation,
            (None, Some(_)) => &self.wal,
            (None, None) => return Ok(()),
        };
        let what = format!("it is gone, but {} is there", left.display());
        Err(StoreError::replaced(&self.store, what))
    }

    /// Durable when it returns.
    pub fn write_generation(&self, generation: &str) -> Result<(), StoreError> {
        let mut draft = self.generation.clone().into_os_string();
        draft.push(".draft");
        let draft = PathBuf::from(draft);
        let write = || {
            let mut file = create_private(&draft)?;
            writeln!(file, "{generation}")?;
            file.sync_all()?;
            fs::rename(&draft, &self.generation)?;
            self.sync_directory()
        };
        write().map_err(StoreError::io("write", &self.generation))
    }

    /// Makes renames and removals in the store's directory durable.
    pub fn sync_directory(&self) -> io::Result<()> {
        let directory = self.store.parent().unwrap_or(Path::new("/"));
        File::open(directory)?.sync_all()
    }
}

/// An empty file that only its owner may read, in the place of any that was there.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)
}

fn resolve(store: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(store) {
        Ok(_) => fs::canonicalize(store),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let store = std::path::absolute(store)?;
            let (directory, name) = store.parent().zip(store.file_name()).ok_or(error)?;
            Ok(fs::canonicalize(directory)?.join(name))
        }
        Err(error) => Err(error),
    }
}

fn is_missing(error: io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn read_small(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(SMALL_FILE_LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

/// Exclusive ownership of a store for as long as this value lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// # Errors
    /// [`StoreError::InUse`] if another process has it, [`StoreError::Io`] if the directory is
    /// missing or not writable.
    pub fn take(paths: &Paths) -> Result<Lock, StoreError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&paths.lock)
            .map_err(StoreError::io("open", &paths.lock))?;
        let mut tries = 1;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(LOCK_RETRY);
                }
                Err(Errno::WOULDBLOCK) => return Err(in_use(paths, file)),
                Err(error) => return Err(StoreError::io("lock", &paths.lock)(error.into())),
            }
        }
        let mut name_holder = || {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            writeln!(file, "{}", std::process::id())
        };
        match name_holder() {
            // On a full disk the lock still holds; only its holder has no name.
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(path = %paths.lock.display(), %error, "lock file not written")
            }
        }
        Ok(Lock { _file: file })
    }

    /// Asks whether a process has it. The question itself holds it, shared, for an instant, which
    /// [`Lock::take`] waits out.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if one has, [`StoreError::Io`] if that cannot be told.
    pub fn ask(paths: &Paths) -> Result<(), StoreError> {
        let file = match File::open(&paths.lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(StoreError::io("open", &paths.lock))?,
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(()),
            Err(Errno::WOULDBLOCK) => Err(in_use(paths, file)),
            Err(error) => Err(StoreError::io("lock", &paths.lock)(error.into())),
        }
    }
}

/// Names the holder by what it wrote into the lock file.
fn in_use(paths: &Paths, file: File) -> StoreError {
    let pid = read_small(file).ok().and_then(|text| text.trim().parse().ok());
    StoreError::InUse { path: paths.store.clone(), pid }
}

/// Which file a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    /// `None` if nothing is there.
    pub fn of(path: &Path) -> io::Result<Option<Inode>> {
        match fs::metadata(path) {
            Ok(found) => Ok(Some(Inode { device: found.dev(), number: found.ino() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Offsets and values of the database header (<https://sqlite.org/fileformat2.html>, section 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER_LENGTH: usize = 100;
const APPLICATION_ID_AT: usize = 68;
/// "Rfit" in ASCII: marks a database as a store of ours.
pub(super) const APPLICATION_ID: u32 = 0x5266_6974;

/// What can be told of the store without opening it as a database.
///
/// # Errors
/// [`StoreError::Missing`], [`StoreError::Damaged`], [`StoreError::Io`].
pub(super) fn examine(store: &Path) -> Result<(), StoreError> {
    let found = match fs::metadata(store) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::Missing { path: store.into() });
        }
        Err(error) => return Err(StoreError::io("read", store)(error)),
    };
    if !found.is_file() {
        return Err(StoreError::damaged(store, "it is not a file"));
    }
    if found.len() < HEADER_LENGTH as u64 {
        return Err(StoreError::damaged(store, format!("it is {} bytes long", found.len())));
    }
    let mut header = [0; HEADER_LENGTH];
    let mut file = File::open(store).map_err(StoreError::io("open", store))?;
    file.read_exact(&mut header).map_err(StoreError::io("read", store))?;
    if !header.starts_with(MAGIC) {
        return Err(StoreError::damaged(store, "it has no database header"));
    }
    let id = header[APPLICATION_ID_AT..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    if id != Some(APPLICATION_ID) {
        return Err(StoreError::damaged(store, "it is a database, but not one of refit"));
    }
    Ok(())
}

/// The writer must be the file's owner: files made by anyone else would lock the daemon out later.
pub(super) fn check_owner(store: &Path) -> Result<(), StoreError> {
    let owner = fs::metadata(store).map_err(StoreError::io("read", store))?.uid();
    let user = rustix::process::geteuid().as_raw();
    if owner == user {
        Ok(())
    } else {
        Err(StoreError::WrongOwner { path: store.into(), owner, user })
    }
}
