//! Files the user names: opened, or refused with what is wrong and what would be right.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use brkmap_base::error::Error;

/// What we mean to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadWrite,
}

/// An existing regular file with something in it, and its length.
pub fn open_file(path: &Path, access: Access) -> Result<(File, u64), Error> {
    let name = path.display();
    // Asked before opening: opening a FIFO would wait for its other end.
    let kind = std::fs::metadata(path).map_err(|error| refused(path, access, &error))?.file_type();
    if kind.is_dir() {
        return Err(Error::usage(format!("{name} is a directory; name a regular file in it")));
    }
    if !kind.is_file() {
        let what = match () {
            () if kind.is_char_device() => "a character device",
            () if kind.is_block_device() => "a block device",
            () if kind.is_fifo() => "a FIFO",
            () => "a socket",
        };
        return Err(Error::usage(format!(
            "{name} is {what}; its pages are not a file's, name a regular file"
        )));
    }
    let file = OpenOptions::new()
        .read(true)
        .write(access == Access::ReadWrite)
        .open(path)
        .map_err(|error| refused(path, access, &error))?;
    let length = file.metadata().map_err(|error| refused(path, access, &error))?.len();
    if length == 0 {
        return Err(Error::usage(format!(
            "{name} is empty; mmap of no bytes is refused (EINVAL), the file must have at least one"
        )));
    }
    Ok((file, length))
}

/// A directory we are to make files in.
pub fn directory(path: &Path) -> Result<(), Error> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(Error::usage(format!("{} is not a directory; name one", path.display()))),
        Err(error) => Err(refused(path, Access::ReadWrite, &error)),
    }
}

fn refused(path: &Path, access: Access, error: &std::io::Error) -> Error {
    let name = path.display();
    match error.kind() {
        ErrorKind::NotFound => {
            Error::usage(format!("{name} does not exist; create it first or name another"))
        }
        ErrorKind::PermissionDenied => {
            let need = match access {
                Access::Read => "read permission",
                Access::ReadWrite => "read and write permission",
            };
            Error::usage(format!("{name} may not be opened (permission denied); {need} is needed"))
        }
        _ => Error::usage(format!("{name} cannot be opened: {error}; name a regular file")),
    }
}
