//! A row of words that only grows, in mappings that are made when they are needed, each twice the one before.
//!
//! Edge CHUNK: a mapping entered (Release) → found (Acquire).
#![allow(unsafe_code)]

use crate::base::checked::Checked;
use crate::base::config::PROFILE;
use crate::base::units::round_up;
use crate::os::Os;
use core::marker::PhantomData;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Elements of the first mapping, and mappings.
const FIRST: u32 = 1 << 10;
const CHUNKS: usize = if PROFILE { 18 } else { 1 };

/// A type of which zero bytes are a value, and all of whose fields are atomic.
///
/// # Safety
/// As it says.
pub unsafe trait Zeroed: Sync {}

// SAFETY: one atomic word.
unsafe impl Zeroed for core::sync::atomic::AtomicUsize {}

pub struct Store<T> {
    /// Elements that were given out, or passed over.
    count: AtomicU32,
    chunks: Checked<AtomicPtr<T>, CHUNKS>,
    elements: PhantomData<T>,
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
        Store {
            count: AtomicU32::new(0),
            chunks: Checked([const { AtomicPtr::new(null_mut()) }; CHUNKS]),
            elements: PhantomData,
        }
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
                return self.ready(os, chunk).then_some(first);
            }
        }
    }

    /// Whether a mapping is there, made if it was not.
    fn ready<O: Os>(&self, os: &O, chunk: usize) -> bool {
        // CHUNK (Acquire).
        if !self.chunks[chunk].load(Ordering::Acquire).is_null() {
            return true;
        }
        let Some(bytes) = round_up(elements(chunk) * size_of::<T>(), os.page()) else { return false };
        let Some(at) = os.map(bytes) else { return false };
        // CHUNK (Release).
        let entered =
            self.chunks[chunk].compare_exchange(null_mut(), at.cast(), Ordering::Release, Ordering::Relaxed);
        if entered.is_err() {
            // SAFETY: mapped above, and nobody knows of it.
            unsafe { os.unmap(at, bytes) };
        }
        true
    }

    /// An element that was given out. None where its mapping is not there.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        let (chunk, at) = place(index);
        if chunk >= CHUNKS {
            return None;
        }
        // CHUNK (Acquire).
        let elements = self.chunks[chunk].load(Ordering::Acquire);
        // SAFETY: a mapping of `elements(chunk)` elements, of which zeros are ones; it is never unmapped.
        (!elements.is_null()).then(|| unsafe { &*elements.add(at) })
    }

    /// Elements that were given out so far, or passed over.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
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
