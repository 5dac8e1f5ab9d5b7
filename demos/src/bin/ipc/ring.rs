//! A ring of blocks in shared memory: one process fills, another empties.
//!
//! ```text
//!   0       64       128              192               4096
//!   filled  emptied  emptier asleep   filler asleep     block 0 | block 1 | … | block 15
//! ```
//!
//! `filled` and `emptied` count blocks, modulo 2^32. Block n lives in place n % BLOCKS.
//!
//! Invariant 1: 0 <= filled - emptied <= BLOCKS.
//! Invariant 2: the blocks `emptied .. filled` are the emptier's, the other places the filler's.
//!
//! Orderings: a side stores its count, then looks whether the other sleeps; the other says that it
//! sleeps, then looks at the count. Both must not miss each other, so these four are SeqCst. The
//! same store and load of a count publish the block's bytes.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use brkmap_demos::futex;
use nix::errno::Errno;

use brkmap_base::error::Error;
use brkmap_demos::mapping::{Mapping, SharedAnonymous, word32};
use brkmap_witness::page_size;

pub const BLOCKS: u32 = 16;
/// Looks before sleeping: a few microseconds, about what a block takes to fill. Without them each
/// side sleeps once a block.
const SPINS: u32 = 500;
/// Met only when the other side has died.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Ring {
    memory: SharedAnonymous,
    block: usize,
}

impl Ring {
    /// Made before the fork; each side then takes its half.
    pub fn new(block: usize) -> Result<Ring, Error> {
        Ok(Ring { memory: SharedAnonymous::map(page_size() + block * BLOCKS as usize)?, block })
    }

    /// # Safety
    /// One filler at a time, in all processes.
    pub unsafe fn filler(&self) -> Filler<'_> {
        Filler(self)
    }

    /// # Safety
    /// One emptier at a time, in all processes.
    pub unsafe fn emptier(&self) -> Emptier<'_> {
        Emptier(self)
    }

    fn filled(&self) -> Count<'_> {
        Count { value: word32(&self.memory, 0), asleep: word32(&self.memory, 128) }
    }

    fn emptied(&self) -> Count<'_> {
        Count { value: word32(&self.memory, 64), asleep: word32(&self.memory, 192) }
    }

    /// # Safety
    /// Block `number` is the caller's by Invariant 2, until it stores its count.
    #[expect(clippy::mut_from_ref, reason = "the block is the caller's alone, by its promise")]
    unsafe fn place(&self, number: u32) -> &mut [u8] {
        let offset = page_size() + (number % BLOCKS) as usize * self.block;
        let start = std::ptr::from_ref(self.memory.cell(offset)).cast_mut().cast::<u8>();
        // SAFETY: the mapping holds BLOCKS blocks behind its first page; the other side keeps away.
        // The pointer comes from a shared cell, whose bytes may be written.
        unsafe { std::slice::from_raw_parts_mut(start, self.block) }
    }
}

/// A count, and whether the other side sleeps until it changes.
struct Count<'a> {
    value: &'a AtomicU32,
    asleep: &'a AtomicU32,
}

impl Count<'_> {
    /// Wakes the other side, if it sleeps, at every `every`th block.
    fn add_one(&self, every: u32) {
        let count = self.value.fetch_add(1, SeqCst).wrapping_add(1);
        if !count.is_multiple_of(every) {
            return;
        }
        if self.asleep.swap(0, SeqCst) == 1 {
            futex::wake(self.value, 1);
        }
    }

    /// Sleeps while the count is `unwanted`.
    fn wait_beyond(&self, unwanted: u32) -> Result<(), Error> {
        for _ in 0..SPINS {
            if self.value.load(SeqCst) != unwanted {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        while self.value.load(SeqCst) == unwanted {
            self.asleep.store(1, SeqCst);
            if self.value.load(SeqCst) != unwanted {
                break;
            }
            match futex::wait(self.value, unwanted, PATIENCE) {
                Ok(()) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => {
                    return Err(Error::failed(format!("the other end of the ring is gone: {errno}")));
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
pub struct Filler<'a>(&'a Ring);

impl Filler<'_> {
    /// Waits for a free place and has `work` fill it.
    pub fn fill<T>(&mut self, work: impl FnOnce(&mut [u8]) -> Result<T, Error>) -> Result<T, Error> {
        let (filled, emptied) = (self.0.filled(), self.0.emptied());
        let number = filled.value.load(SeqCst);
        emptied.wait_beyond(number.wrapping_sub(BLOCKS))?;
        // SAFETY: filled - emptied < BLOCKS now, so place `number` is ours (Invariant 2), and there
        // is no other filler.
        let result = work(unsafe { self.0.place(number) })?;
        filled.add_one(1);
        Ok(result)
    }
}

#[derive(Debug)]
pub struct Emptier<'a>(&'a Ring);

impl Emptier<'_> {
    /// Waits for a full block and has `work` look at it.
    pub fn empty<T>(&mut self, work: impl FnOnce(&[u8]) -> Result<T, Error>) -> Result<T, Error> {
        let (filled, emptied) = (self.0.filled(), self.0.emptied());
        let number = emptied.value.load(SeqCst);
        filled.wait_beyond(number)?;
        // SAFETY: emptied < filled now, so block `number` is ours (Invariant 2), and there is no
        // other emptier.
        let result = work(unsafe { self.0.place(number) })?;
        // The filler sleeps only when the ring is full: the next multiple of half a ring is sure to
        // come without it, and it then finds work for more than one block.
        emptied.add_one(BLOCKS / 2);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCKS, Ring};

    #[test]
    fn blocks_come_out_as_they_went_in_many_times_around() {
        let ring = Ring::new(8).expect("mmap");
        let rounds = u64::from(BLOCKS) * 500;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // SAFETY: the only filler.
                let mut filler = unsafe { ring.filler() };
                for number in 0..rounds {
                    let write = |block: &mut [u8]| {
                        block.copy_from_slice(&number.to_ne_bytes());
                        Ok(())
                    };
                    filler.fill(write).expect("a place");
                }
            });
            // SAFETY: the only emptier.
            let mut emptier = unsafe { ring.emptier() };
            for number in 0..rounds {
                let block = emptier.empty(|block| Ok(block.to_vec())).expect("a block");
                assert_eq!(block, number.to_ne_bytes());
            }
        });
    }
}
