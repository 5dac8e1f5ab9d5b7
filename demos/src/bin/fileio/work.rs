//! The same work on a file, once by lseek, read and write, once by mmap.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use brkmap_base::error::{During, Error};
use brkmap_demos::mapping::{FileView, Mapping, SharedFile, Writable};
use fastrand::Rng;

/// What read takes at once when it goes through the whole file.
const BUFFER: usize = 64 << 10;
/// What a random read or an update touches.
pub const RECORD: usize = 64;

/// A file of our own, without a name, and where in it the random work goes.
pub struct Ground {
    pub file: File,
    pub length: usize,
    pub offsets: Vec<usize>,
}

impl Ground {
    pub fn new(file: File, length: usize, operations: usize) -> Ground {
        let mut dice = Rng::with_seed(5);
        let records = (length / RECORD) as u64;
        let offsets = (0..operations).map(|_| dice.u64(..records) as usize * RECORD).collect();
        Ground { file, length, offsets }
    }

    /// Whether read(2) finds the updates of `salt`.
    pub fn has_updates(&self, salt: u8, durable: bool) -> Result<bool, Error> {
        let mut found = [0; RECORD];
        for &offset in self.updated(durable) {
            self.file.read_exact_at(&mut found, offset as u64).during("read the file")?;
            if found != [salt; RECORD] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The calls to read or write that the work cannot do without.
    pub fn least_moves(&self, work: Work) -> u64 {
        let moves = match work {
            Work::Sequential | Work::SequentialCold => self.length.div_ceil(BUFFER),
            Work::Random => self.offsets.len(),
            Work::Updates | Work::Durable => self.updated(work == Work::Durable).len(),
        };
        moves as u64
    }

    fn updated(&self, durable: bool) -> &[usize] {
        if durable { &self.offsets[..self.offsets.len().min(DURABLE)] } else { &self.offsets }
    }
}

/// Updates that each wait for the disk: few, since a disk is slow.
pub const DURABLE: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Sequential,
    SequentialCold,
    Random,
    Updates,
    Durable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Calls,
    Mmap,
}

impl Work {
    pub const ALL: [Work; 5] =
        [Work::Sequential, Work::SequentialCold, Work::Random, Work::Updates, Work::Durable];

    pub fn name(self) -> &'static str {
        match self {
            Work::Sequential => "sequential read",
            Work::SequentialCold => "sequential read, from disk",
            Work::Random => "random reads",
            Work::Updates => "random updates, one sync",
            Work::Durable => "random updates, a sync each",
        }
    }

    pub fn writes(self) -> bool {
        matches!(self, Work::Updates | Work::Durable)
    }
}

impl Way {
    pub const BOTH: [Way; 2] = [Way::Calls, Way::Mmap];

    pub fn name(self) -> &'static str {
        match self {
            Way::Calls => "lseek/read/write",
            Way::Mmap => "mmap",
        }
    }

    /// What this way's updates write, so that the two cannot be taken for each other.
    pub fn salt(self) -> u8 {
        match self {
            Way::Calls => b'c',
            Way::Mmap => b'm',
        }
    }
}

/// Does the work; what it read is summed up, for the two ways to be compared.
pub fn run(work: Work, way: Way, ground: &Ground) -> Result<u64, Error> {
    match (work, way) {
        (Work::Sequential | Work::SequentialCold, Way::Calls) => read_through(ground),
        (Work::Sequential | Work::SequentialCold, Way::Mmap) => {
            let view = FileView::map(&ground.file, ground.length)?;
            // SAFETY: the file has no name, and this process does not write it while it reads.
            Ok(sum(unsafe { view.bytes() }))
        }
        (Work::Random, Way::Calls) => random_calls(ground),
        (Work::Random, Way::Mmap) => {
            let view = FileView::map(&ground.file, ground.length)?;
            // SAFETY: as above.
            let bytes = unsafe { view.bytes() };
            Ok(ground
                .offsets
                .iter()
                .fold(0, |total: u64, &at| total.wrapping_add(sum(&bytes[at..at + RECORD]))))
        }
        (Work::Updates, way) => update(ground, way, false),
        (Work::Durable, way) => update(ground, way, true),
    }
}

fn read_through(ground: &Ground) -> Result<u64, Error> {
    let mut file = &ground.file;
    file.seek(SeekFrom::Start(0)).during("seek")?;
    let mut buffer = vec![0; BUFFER];
    let mut total = 0_u64;
    loop {
        match file.read(&mut buffer).during("read")? {
            0 => return Ok(total),
            count => total = total.wrapping_add(sum(&buffer[..count])),
        }
    }
}

fn random_calls(ground: &Ground) -> Result<u64, Error> {
    let mut file = &ground.file;
    let mut record = [0; RECORD];
    let mut total = 0_u64;
    for &offset in &ground.offsets {
        file.seek(SeekFrom::Start(offset as u64)).during("seek")?;
        file.read_exact(&mut record).during("read")?;
        total = total.wrapping_add(sum(&record));
    }
    Ok(total)
}

fn update(ground: &Ground, way: Way, durable: bool) -> Result<u64, Error> {
    let record = [way.salt(); RECORD];
    let mut file = &ground.file;
    match way {
        Way::Calls => {
            for &offset in ground.updated(durable) {
                file.seek(SeekFrom::Start(offset as u64)).during("seek")?;
                file.write_all(&record).during("write")?;
                if durable {
                    file.sync_data().during("write the file back")?;
                }
            }
            if !durable {
                file.sync_data().during("write the file back")?;
            }
        }
        Way::Mmap => {
            let mapping = SharedFile::map(&ground.file, ground.length)?;
            for &offset in ground.updated(durable) {
                mapping.copy_in(offset, &record);
                if durable {
                    mapping.sync(offset, RECORD)?;
                }
            }
            if !durable {
                mapping.sync(0, mapping.len())?;
            }
        }
    }
    Ok(0)
}

/// Eight bytes at a time, so that the sum is not what is measured.
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("eight")));
    black_box(words.fold(0, u64::wrapping_add))
}
