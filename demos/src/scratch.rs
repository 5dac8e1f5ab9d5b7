//! Files of our own to work on: without a name, so they are gone when we end, however we end.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::input;
use brkmap_base::bar::bar;
use brkmap_base::error::{During, Error};
use fastrand::Rng;

/// An empty file in `dir`, which must have room for `size` bytes.
pub fn empty(dir: &Path, size: u64) -> Result<File, Error> {
    input::directory(dir)?;
    let space = nix::sys::statvfs::statvfs(dir).during("ask for the free space")?;
    let free = space.blocks_available() * space.fragment_size();
    if size > free {
        let name = dir.display();
        return Err(Error::usage(format!(
            "--size needs {size} bytes, but {name} has {free} bytes free; choose less, or another --dir"
        )));
    }
    tempfile::tempfile_in(dir)
        .map_err(|error| Error::usage(format!("no file can be made in {}: {error}", dir.display())))
}

/// `size` bytes of numbers, on the disk when this returns.
pub fn filled(dir: &Path, size: u64) -> Result<File, Error> {
    let mut file = empty(dir, size)?;
    let mut dice = Rng::with_seed(1);
    let bar = bar(size >> 20, "filling the file");
    let mut left = size;
    while left > 0 {
        let block: Vec<u8> = (0..1 << 17).flat_map(|_| dice.u64(..).to_ne_bytes()).collect();
        let count = left.min(block.len() as u64);
        file.write_all(&block[..count as usize]).during("fill the file")?;
        left -= count;
        bar.inc(1);
    }
    file.sync_all().during("write the file back")?;
    bar.finish_and_clear();
    Ok(file)
}
