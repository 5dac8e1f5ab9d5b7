//! A short list that one thread at a time appends to, and that all read without a lock: the arena's windows.
//!
//! ```text
//!   rows    │ first │ second │ (not written) │ …
//!   count   2 ─ published behind the second row
//! ```
//!
//! Invariant I14: rows below `count` are whole, and are not written again.
//!
//! Edge SHOWN: push's store of the count behind the row (Release) → a reader's load before it looks
//! (Acquire): it also sees all that the appending thread wrote before, such as what a row leads to.
#![allow(unsafe_code)]

use super::{AtomicU64, Ordering, UnsafeCell};
use core::mem::MaybeUninit;

/// The orderings of the edge, so that a model can weaken one and see it fail.
pub trait Orderings {
    const PUSH: Ordering;
    const READ: Ordering;
}

pub struct Strong;
impl Orderings for Strong {
    const PUSH: Ordering = Ordering::Release;
    const READ: Ordering = Ordering::Acquire;
}

pub struct Appended<T, const N: usize, O = Strong> {
    rows: [UnsafeCell<MaybeUninit<T>>; N],
    count: AtomicU64,
    orderings: core::marker::PhantomData<O>,
}

// SAFETY: rows are written by one thread at a time before they count (`push` asks that of its caller), and
// only read, as copies, from then on (I14).
unsafe impl<T: Copy + Send + Sync, const N: usize, O> Sync for Appended<T, N, O> {}

impl<T: Copy, const N: usize, O: Orderings> Appended<T, N, O> {
    #[cfg(not(brkmap_loom))]
    pub const fn new() -> Self {
        Appended {
            rows: [const { UnsafeCell::new(MaybeUninit::uninit()) }; N],
            count: AtomicU64::new(0),
            orderings: core::marker::PhantomData,
        }
    }

    #[cfg(brkmap_loom)]
    pub fn new() -> Self {
        Appended {
            rows: std::array::from_fn(|_| UnsafeCell::new(MaybeUninit::uninit())),
            count: AtomicU64::new(0),
            orderings: core::marker::PhantomData,
        }
    }

    /// The row that was appended last.
    #[inline]
    pub fn last(&self) -> Option<T> {
        self.rows.get(self.count().wrapping_sub(1)).map(Self::read)
    }

    /// All rows, the last first.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.rows.iter().take(self.count()).rev().map(Self::read)
    }

    pub fn is_full(&self) -> bool {
        self.count() == N
    }

    /// Appends a row; one too many is left out.
    ///
    /// # Safety
    /// No other thread appends meanwhile.
    pub unsafe fn push(&self, row: T) {
        let count = self.count();
        if let Some(place) = self.rows.get(count) {
            // SAFETY: it does not count yet, so nobody reads it, and nobody else writes (caller).
            place.with_mut(|place| unsafe { (*place).write(row) });
            // SHOWN.
            self.count.store(count as u64 + 1, O::PUSH);
        }
    }

    fn count(&self) -> usize {
        // SHOWN.
        self.count.load(O::READ) as usize
    }

    #[inline]
    fn read(row: &UnsafeCell<MaybeUninit<T>>) -> T {
        // SAFETY: it counts, so it is whole and not written again (I14).
        row.with(|row| unsafe { (*row).assume_init() })
    }
}

#[cfg(all(test, brkmap_loom))]
mod loom_models {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::atomic::{AtomicUsize, Ordering as Plain};

    struct Model<O> {
        list: Appended<usize, 2, O>,
        /// What a row leads to: written before the row.
        maps: [loom::cell::UnsafeCell<usize>; 2],
    }

    /// One thread appends two rows while another reads. In how many executions it found none, one and both.
    fn explore<O: Orderings + Send + Sync + 'static>() -> [usize; 3] {
        let met: std::sync::Arc<[AtomicUsize; 3]> = Default::default();
        let seen = met.clone();
        loom::model(move || {
            let model = Arc::new(Model::<O> {
                list: Appended::new(),
                maps: std::array::from_fn(|_| loom::cell::UnsafeCell::new(0)),
            });
            let writer = model.clone();
            let writer = thread::spawn(move || {
                for at in 0..2 {
                    // SAFETY: not published: this thread's alone; loom checks the claim.
                    writer.maps[at].with_mut(|map| unsafe { *map = at + 10 });
                    // SAFETY: this is the only thread that appends.
                    unsafe { writer.list.push(at) };
                }
            });
            for _ in 0..3 {
                let rows: Vec<usize> = model.list.iter().collect();
                assert_eq!(rows, (0..rows.len()).rev().collect::<Vec<_>>(), "the last comes first");
                for &at in &rows {
                    // SAFETY: published behind what it leads to, and written no more; loom checks the claim.
                    assert_eq!(model.maps[at].with(|map| unsafe { *map }), at + 10);
                }
                seen[rows.len()].fetch_add(1, Plain::Relaxed);
                // Lets the other run first; without it loom never showed a row to this reader.
                thread::yield_now();
            }
            writer.join().unwrap();
            assert!(model.list.is_full() && model.list.last() == Some(1));
        });
        [0, 1, 2].map(|count| met[count].load(Plain::Relaxed))
    }

    #[test]
    fn loom_a_row_is_read_with_what_it_leads_to() {
        let met = explore::<Strong>();
        assert!(met.iter().all(|&count| count > 0), "{met:?}: the threads did not meet");
    }

    struct WeakPush;
    impl Orderings for WeakPush {
        const PUSH: Ordering = Ordering::Relaxed;
        const READ: Ordering = Ordering::Acquire;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_push_of_a_row_is_caught() {
        explore::<WeakPush>();
    }

    struct WeakRead;
    impl Orderings for WeakRead {
        const PUSH: Ordering = Ordering::Release;
        const READ: Ordering = Ordering::Relaxed;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_read_of_a_row_is_caught() {
        explore::<WeakRead>();
    }
}

#[cfg(all(test, not(brkmap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_comes_first_and_one_too_many_is_left_out() {
        let list = Appended::<u8, 2>::new();
        assert!(list.last().is_none() && !list.is_full());
        for row in 1..=3 {
            // SAFETY: one thread.
            unsafe { list.push(row) };
        }
        assert!(list.last() == Some(2) && list.is_full());
        assert_eq!(list.iter().collect::<Vec<_>>(), [2, 1]);
    }
}
