//! A row of words that only grows, in mappings that are made when they are needed, each twice the one before.
#![allow(unsafe_code)]

use crate::base::checked::Checked;
use crate::base::config::PROFILE;
use crate::base::why::OF_PROFILE;
use crate::os::Os;
use crate::os::mapped::{Mapped, Zeroed};
use core::sync::atomic::{AtomicU32, Ordering};

/// Elements of the first mapping, and mappings.
const FIRST: u32 = 1 << 10;
const CHUNKS: usize = if PROFILE { 18 } else { 1 };

pub struct Store<T> {
    /// Elements that were given out, or passed over.
    count: AtomicU32,
    chunks: Checked<Mapped<T>, CHUNKS>,
}

/// In which mapping an element is, and where.
fn place(index: u32) -> (usize, usize) {
    let chunk = u32::BITS - 1 - (index / FIRST + 1).leading_zeros();
    (chunk as usize, (index - FIRST * ((1 << chunk) - 1)) as usize)
}

fn elements(chunk: usize) -> usize {
    (FIRST as usize) << chunk
}

impl<T: Zeroed> Store<T> {
    pub const fn new() -> Self {
        Store { count: AtomicU32::new(0), chunks: Checked([const { Mapped::nothing() }; CHUNKS]) }
    }

    /// Gives out `count` elements side by side, at most as many as the first mapping has: zeros. The index of
    /// the first. None where there is no memory.
    pub fn grow<O: Os>(&self, os: &O, count: u32) -> Option<u32> {
        loop {
            // Relaxed: the caller publishes what it makes of them.
            let first = self.count.load(Ordering::Relaxed);
            let end = first.checked_add(count)?;
            let (chunk, _) = place(first);
            if chunk >= CHUNKS {
                return None;
            }
            // Those that would not lie side by side are passed over.
            let straddles = place(end - 1).0 != chunk;
            let next = if straddles { FIRST * ((2 << chunk) - 1) } else { end };
            let taken = self.count.compare_exchange(first, next, Ordering::Relaxed, Ordering::Relaxed);
            if taken.is_ok() && !straddles {
                return self.chunks[chunk].make(os, elements(chunk), OF_PROFILE).map(|_| first);
            }
        }
    }

    /// An element that was given out. None where its mapping is not there.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        let (chunk, at) = place(index);
        if chunk >= CHUNKS {
            return None;
        }
        let elements = self.chunks[chunk].first();
        // SAFETY: a mapping of `elements(chunk)` elements, of which zeros are ones.
        (!elements.is_null()).then(|| unsafe { &*elements.add(at) })
    }

    /// Elements that were given out so far, or passed over.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Unmaps all of them.
    ///
    /// # Safety
    /// Nobody uses any, or will.
    pub unsafe fn unmap<O: Os>(&self, os: &O) {
        for (chunk, mapped) in self.chunks.0.iter().enumerate() {
            // SAFETY: as the caller vouches.
            unsafe { mapped.unmap(os, elements(chunk), OF_PROFILE) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sim::Sim;
    use core::sync::atomic::AtomicUsize;

    #[test]
    fn elements_lie_side_by_side_and_keep_their_values() {
        let (store, os) = (Store::<AtomicUsize>::new(), Sim::new());
        let mut given = Vec::new();
        while store.count() < 5 * FIRST {
            let first = store.grow(&os, 60).expect("memory");
            (first..first + 60)
                .for_each(|at| store.get(at).unwrap().store(at as usize + 1, Ordering::Relaxed));
            given.push(first);
        }
        for first in given {
            let start = core::ptr::from_ref(store.get(first).unwrap());
            for at in 0..60 {
                let element = store.get(first + at).unwrap();
                assert_eq!(element.load(Ordering::Relaxed), (first + at) as usize + 1);
                assert_eq!(core::ptr::from_ref(element), start.wrapping_add(at as usize));
            }
        }
        assert_eq!((place(FIRST - 1), place(FIRST), place(3 * FIRST)), ((0, 1023), (1, 0), (2, 0)));
    }
}
