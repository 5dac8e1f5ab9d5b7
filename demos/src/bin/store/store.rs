//! A key-value file that is its own memory: one shared mapping, a log of records, and a header with
//! two slots, of which the newer valid one says how much of the log counts.
//!
//! ```text
//!   0        512      1024         4096                     end            length of the file
//!   magic    slot 0   slot 1       record | record | record | free …          |
//!            seq 4    seq 5 ───────────────────────────────▶
//! ```
//!
//! A commit is, in this order:
//!   1. the records are stored behind `end`, where nobody looks;
//!   2. msync of those pages: they are on the disk before anything speaks of them;
//!   3. the *older* slot is stored: new end, next sequence, checksum;
//!   4. msync of the header: now the commit is durable, and only now it is acknowledged.
//!
//! kill -9 leaves the page cache as it is, so of a killed process every store up to some instruction
//! counts: before 3 the old slot rules; within 3 the slot is torn, its checksum is wrong, and the
//! old one still rules; after 3 the new one does. The two msyncs are for the loss of power, where
//! pages may reach the disk in any order: without the first, a slot could speak of records that
//! never came.
//!
//! The log only grows; `compact` writes a new one. One process at a time writes, by flock, and none while others read.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use brkmap_base::error::{During, Error};
use brkmap_demos::input::Access;
use brkmap_demos::mapping::{FileView, Mapping, SharedFile, Writable};
use brkmap_witness::page_size;

mod header;
mod record;
#[cfg(test)]
mod tests;

use header::{Commit, LOG_START};
use record::Record;

/// The first growth takes this, later ones double it.
const FIRST_LENGTH: usize = 64 << 10;

/// Over a mapping that can be written, or over one that can only be read.
#[derive(Debug)]
pub struct Store<M: Mapping = SharedFile> {
    path: PathBuf,
    /// Holds the lock until dropped.
    file: File,
    mapping: M,
    /// Where each key's latest value lies in the mapping.
    index: BTreeMap<Vec<u8>, Place>,
    committed: Commit,
    /// Behind the last record stored, committed or not.
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    offset: usize,
    len: usize,
}

impl Store {
    /// Opens a store, or makes one where there is no file, or an empty one.
    pub fn create(path: &Path) -> Result<Store, Error> {
        Store::with(path, OpenOptions::new().read(true).write(true).create(true).truncate(false))
    }

    /// Opens a store that is there.
    pub fn open(path: &Path) -> Result<Store, Error> {
        Store::with(path, OpenOptions::new().read(true).write(true))
    }

    fn with(path: &Path, options: &OpenOptions) -> Result<Store, Error> {
        let (file, mut length) = locked(path, options, Access::ReadWrite)?;
        if length == 0 {
            lengthen(&file, 0, FIRST_LENGTH)?;
            length = FIRST_LENGTH;
        }
        long_enough(path, length)?;
        let mapping = SharedFile::map(&file, length)?;
        let committed = header::read(&mapping).map_err(|what| damaged(path, &what))?;
        let committed = committed.unwrap_or_else(|| header::begin(&mapping));
        Store::over(path, file, mapping, committed)
    }
}

impl Store<FileView> {
    /// Opens a store to look at: nothing is written, and the right to read is enough.
    pub fn view(path: &Path) -> Result<Store<FileView>, Error> {
        let (file, length) = locked(path, OpenOptions::new().read(true), Access::Read)?;
        long_enough(path, length)?;
        let mapping = FileView::map(&file, length)?;
        let committed = header::read(&mapping).map_err(|what| damaged(path, &what))?;
        Store::over(path, file, mapping, committed.unwrap_or(header::NOTHING))
    }
}

impl<M: Mapping> Store<M> {
    /// Reads the log as far as it counts.
    fn over(path: &Path, file: File, mapping: M, committed: Commit) -> Result<Store<M>, Error> {
        let (end, length) = (committed.end, mapping.len());
        if end > length {
            let what = format!("was cut: its log goes to {end}, the file to {length}; restore it");
            return Err(damaged(path, &what));
        }
        let mut index = BTreeMap::new();
        let mut at = LOG_START;
        while at < end {
            let record = Record::read(&mapping, at, end)
                .ok_or_else(|| damaged(path, &format!("is damaged at offset {at}; restore it")))?;
            at = record.end();
            apply(&mut index, &record);
        }
        Ok(Store { path: path.to_owned(), file, mapping, index, committed, end: at })
    }

    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.index.get(key).map(|&place| self.value(place))
    }

    /// Keys that begin with `prefix`, in order, with their values.
    pub fn scan<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], Vec<u8>)> {
        self.index
            .range(prefix.to_vec()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, &place)| (key.as_slice(), self.value(place)))
    }

    fn value(&self, place: Place) -> Vec<u8> {
        let mut value = vec![0; place.len];
        self.mapping.copy_out(place.offset, &mut value);
        value
    }
}

impl Store {
    /// Counts after the next `commit`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.append(key, Some(value))
    }

    /// Counts after the next `commit`. False if there is no such key.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool, Error> {
        let known = self.index.contains_key(key);
        if known {
            self.append(key, None)?;
        }
        Ok(known)
    }

    fn append(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let bytes = record::encode(key, value)?;
        self.reserve(self.end + bytes.len())?;
        self.mapping.copy_in(self.end, &bytes);
        let record = Record::read(&self.mapping, self.end, self.end + bytes.len())
            .ok_or_else(|| Error::failed("a record does not read back"))?;
        self.end = record.end();
        apply(&mut self.index, &record);
        Ok(())
    }

    /// Returns when everything put and deleted so far will be there whatever happens.
    pub fn commit(&mut self) -> Result<(), Error> {
        let next = Commit { sequence: self.committed.sequence + 1, end: self.end };
        self.mapping.sync(self.committed.end, self.end - self.committed.end)?;
        header::write(&self.mapping, next);
        self.mapping.sync(0, page_size())?;
        self.committed = next;
        Ok(())
    }

    /// How many commits there have been.
    pub fn sequence(&self) -> u64 {
        self.committed.sequence
    }

    /// The bytes of the log that count.
    pub fn log_len(&self) -> usize {
        self.committed.end - LOG_START
    }

    pub fn mapping(&self) -> &SharedFile {
        &self.mapping
    }

    /// ftruncate for the file, mremap for the mapping.
    fn reserve(&mut self, end: usize) -> Result<(), Error> {
        let old = self.mapping.len();
        if end <= old {
            return Ok(());
        }
        let new = end.next_power_of_two().max(old * 2);
        lengthen(&self.file, old, new)?;
        self.mapping.grow(new)
    }

    /// A new file with the living records only, put in this one's place; what was not committed is.
    pub fn compact(mut self) -> Result<Store, Error> {
        self.commit()?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let fresh_path = self.path.with_file_name(format!("{name}.compact"));
        let _ = std::fs::remove_file(&fresh_path);
        let mut fresh = Store::create(&fresh_path)?;
        for (key, value) in self.scan(b"") {
            fresh.put(key, &value)?;
        }
        fresh.commit()?;
        fresh.file.sync_all().during("write the new store back")?;
        std::fs::rename(&fresh_path, &self.path).during("put the new store in place")?;
        fresh.path = self.path.clone();
        let parent = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|dir| dir.sync_all()).during("write the directory back")?;
        Ok(fresh)
    }
}

/// The file, locked for this process, or for all that read; and its length.
fn locked(path: &Path, options: &OpenOptions, access: Access) -> Result<(File, usize), Error> {
    loop {
        let file = options.open(path).map_err(|error| refused(path, access, &error))?;
        let meta = file.metadata().during("ask for the file's length")?;
        if !meta.is_file() {
            return Err(Error::usage(format!("{} is no regular file; a store needs one", path.display())));
        }
        match access {
            Access::Read => file.lock_shared(),
            Access::ReadWrite => file.lock(),
        }
        .during("lock the store")?;
        // While we waited for the lock, `compact` may have put another file in this one's place.
        if std::fs::metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (meta.dev(), meta.ino())) {
            let length = file.metadata().during("ask for the file's length")?.len();
            return Ok((file, usize::try_from(length).during("fit the file into memory")?));
        }
    }
}

fn long_enough(path: &Path, length: usize) -> Result<(), Error> {
    if length < page_size() {
        return Err(damaged(path, &format!("has {length} bytes and is no store; name one, or a new file")));
    }
    Ok(())
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::usage(format!("{} {what}", path.display()))
}

fn apply(index: &mut BTreeMap<Vec<u8>, Place>, record: &Record) {
    match record.value {
        Some((offset, len)) => index.insert(record.key.clone(), Place { offset, len }),
        None => index.remove(&record.key),
    };
}

/// Makes the file longer, with blocks behind it: a store into a hole on a full disk would be SIGBUS.
fn lengthen(file: &File, old: usize, new: usize) -> Result<(), Error> {
    file.set_len(new as u64).during("lengthen the file")?;
    let (offset, len) = (old.cast_signed() as i64, (new - old).cast_signed() as i64);
    match fallocate(file, FallocateFlags::empty(), offset, len) {
        // Not every file system can; then a full disk shows later.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => {
            let _ = file.set_len(old as u64);
            Err(Error::failed(format!("could not lengthen the file to {new} bytes: {errno}")))
        }
    }
}

fn refused(path: &Path, access: Access, error: &std::io::Error) -> Error {
    use std::io::ErrorKind;
    let name = path.display();
    Error::usage(match error.kind() {
        ErrorKind::NotFound => {
            format!("{name} does not exist; `put` makes a store, in a directory that is there")
        }
        ErrorKind::IsADirectory => format!("{name} is a directory; name a file in it"),
        ErrorKind::PermissionDenied => {
            let need = if access == Access::Read { "read" } else { "read and write" };
            format!("{name} may not be opened (permission denied); {need} permission is needed")
        }
        _ => format!("{name} cannot be opened: {error}; name a regular file"),
    })
}
