//! Opening: the lock first, then whether this is the store that it should be, then its content.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sqlx::Connection;

use crate::model::Wall;

use super::error::StoreError;
use super::files::{self, Inode, Lock, Paths};
use super::ledger::Tail;
use super::sqlite;
use super::{LedgerEnd, Opened, Store, Writer, log, schema};

impl Store {
    /// Opens the store for writing, and creates it on a first start: when neither the store nor
    /// its generation file is there.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Damaged`], [`StoreError::Replaced`],
    /// [`StoreError::NewerSchema`], [`StoreError::WrongOwner`], [`StoreError::Io`]. Nothing is
    /// created or repaired then.
    pub async fn open(path: &Path, now: Wall) -> Result<Store, StoreError> {
        let paths = Paths::beside(path)?;
        let lock = Lock::take(&paths)?;
        Store::open_locked(paths, lock, now).await
    }

    /// Moves what is there aside, deletes nothing, and begins anew. Returns the store and where
    /// the old files now are.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Io`].
    pub async fn init_accept_loss(
        path: &Path,
        now: Wall,
    ) -> Result<(Store, Vec<PathBuf>), StoreError> {
        let paths = Paths::beside(path)?;
        let lock = Lock::take(&paths)?;
        let moved = set_aside(&paths, now)?;
        Ok((Store::open_locked(paths, lock, now).await?, moved))
    }

    async fn open_locked(paths: Paths, lock: Lock, now: Wall) -> Result<Store, StoreError> {
        let recorded = paths.read_generation()?;
        let first_start = match files::examine(&paths.store) {
            Ok(()) => false,
            Err(StoreError::Missing { .. }) => {
                paths.expect_new(recorded.as_deref())?;
                create(&paths, now).await?;
                true
            }
            Err(error) => return Err(error),
        };
        files::check_owner(&paths.store)?;
        log::check(&paths.wal)?;
        let is_checked = check_content(&paths).await?;
        let Writer { mut connection, wal, .. } = connect(&paths).await?;
        if !is_checked {
            sqlite::check_integrity(&mut connection, &paths.store).await?;
        }
        let failed = StoreError::database(&paths.store);
        let mut transaction = connection.begin_with(sqlite::BEGIN).await.map_err(&failed)?;
        schema::upgrade(&mut transaction, &paths.store, now).await?;
        transaction.commit().await.map_err(&failed)?;

        let generation = check_generation(&paths, &mut connection, recorded).await?;
        let clean_stop_at =
            schema::get(&mut connection, schema::CLEAN_STOP_AT).await.map_err(&failed)?;
        schema::unset(&mut connection, schema::CLEAN_STOP_AT).await.map_err(&failed)?;
        let tail = Tail::read(&mut connection).await.map_err(&failed)?;
        let inode = inode(&paths.store)?;
        drop(failed);
        let clean_stop_at = clean_stop_at.and_then(|text| text.parse().ok()).map(Wall);
        Ok(Store {
            paths,
            generation,
            opened: Opened { first_start, clean_stop_at },
            inode,
            tail,
            writer: Some(Writer { connection, wal, ledger: LedgerEnd::Known }),
            _lock: lock,
        })
    }

    /// The writer's connection, made again after a failure.
    pub(super) async fn writer(&mut self) -> Result<&mut Writer, StoreError> {
        if self.writer.is_none() {
            let mut writer = connect(&self.paths).await?;
            let found = schema::get(&mut writer.connection, schema::GENERATION).await;
            let found = found.map_err(StoreError::database(&self.paths.store))?;
            if found.as_deref() != Some(&*self.generation) {
                return Err(StoreError::replaced(&self.paths.store, "it has another generation"));
            }
            self.writer = Some(writer);
            self.still_ours()?;
        }
        Ok(self.writer.as_mut().expect("it was just made"))
    }
}

/// Through a connection that only reads: a writer's moves the log into the database as it closes,
/// and what is refused must stay as it is. `false` if a journal stands in the way, as a crash in
/// the middle of the first start leaves it: that only a writer can roll back.
async fn check_content(paths: &Paths) -> Result<bool, StoreError> {
    if Inode::of(&paths.journal).map_err(StoreError::io("read", &paths.journal))?.is_some() {
        return Ok(false);
    }
    let failed = StoreError::database(&paths.store);
    let mut connection = sqlite::connect_reader(&paths.store).await.map_err(&failed)?;
    schema::check(&mut connection, &paths.store).await?;
    sqlite::check_integrity(&mut connection, &paths.store).await?;
    connection.close().await.map_err(&failed)?;
    Ok(true)
}

async fn connect(paths: &Paths) -> Result<Writer, StoreError> {
    let mut connection = sqlite::connect_writer(&paths.store).await?;
    // The first read opens the log, and replays what an unclean stop left in it.
    schema::check(&mut connection, &paths.store).await?;
    Ok(Writer { connection, wal: inode(&paths.wal)?, ledger: LedgerEnd::Unknown })
}

fn inode(path: &Path) -> Result<Inode, StoreError> {
    Inode::of(path)
        .map_err(StoreError::io("read", path))?
        .ok_or_else(|| StoreError::replaced(path, "it was removed"))
}

/// Builds the store under another name and renames it, so that a crash on the way leaves either
/// nothing or a whole store.
async fn create(paths: &Paths, now: Wall) -> Result<(), StoreError> {
    let draft = &paths.draft;
    remove_draft(draft).map_err(StoreError::io("remove", draft))?;
    files::create_private(draft).map_err(StoreError::io("create", draft))?;
    let generation = uuid::Uuid::new_v4().to_string();
    let build = async {
        let mut connection = sqlite::connect_draft(draft).await?;
        let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
        schema::create(&mut transaction, now).await?;
        schema::set(&mut transaction, schema::GENERATION, &generation).await?;
        schema::set(&mut transaction, schema::CREATED_AT, &now.0.to_string()).await?;
        transaction.commit().await?;
        connection.close().await
    };
    build.await.map_err(StoreError::database(draft))?;
    let publish = || {
        fs::rename(draft, &paths.store)?;
        paths.sync_directory()
    };
    publish().map_err(StoreError::io("create", &paths.store))?;
    paths.write_generation(&generation)
}

/// What a first start that did not end left behind; nothing in it was ever acknowledged.
fn remove_draft(draft: &Path) -> io::Result<()> {
    let mut journal = draft.as_os_str().to_owned();
    journal.push("-journal");
    for path in [draft, Path::new(&journal)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The store and the file beside it must name the same generation; a missing file comes back.
async fn check_generation(
    paths: &Paths,
    connection: &mut sqlx::AnyConnection,
    recorded: Option<String>,
) -> Result<String, StoreError> {
    let stored = schema::get(connection, schema::GENERATION)
        .await
        .map_err(StoreError::database(&paths.store))?
        .ok_or_else(|| StoreError::damaged(&paths.store, "it names no generation"))?;
    match recorded.or(paths.read_generation()?) {
        None => paths.write_generation(&stored)?,
        Some(recorded) if recorded == stored => {}
        Some(recorded) => {
            let what = format!(
                "its generation is {stored}, but {} says {recorded}",
                paths.generation.display()
            );
            return Err(StoreError::replaced(&paths.store, what));
        }
    }
    Ok(stored)
}

fn set_aside(paths: &Paths, now: Wall) -> Result<Vec<PathBuf>, StoreError> {
    let aside = paths.aside(now);
    // The store goes first and the generation file last: a crash in between leaves a generation
    // without its store, which is refused, and never a store without its log.
    let moves = [
        (&paths.store, &aside.store),
        (&paths.wal, &aside.wal),
        (&paths.shared_memory, &aside.shared_memory),
        (&paths.generation, &aside.generation),
    ];
    let mut moved = Vec::new();
    for (from, to) in moves {
        if Inode::of(to).map_err(StoreError::io("read", to))?.is_some() {
            return Err(StoreError::io("write over", to)(io::ErrorKind::AlreadyExists.into()));
        }
        match fs::rename(from, to) {
            Ok(()) => moved.push(to.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("move aside", from)(error)),
        }
    }
    paths.sync_directory().map_err(StoreError::io("sync the directory of", &paths.store))?;
    Ok(moved)
}
