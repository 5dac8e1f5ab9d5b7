//! A stack of ids: the parked heaps. Push parks, pop adopts.
//!
//! ```text
//!   head: tag | id ──► id ──► id        the link of an id lives with what the id names
//! ```
//!
//! The tag grows with every push, so a pop that read the link of an id which was popped and pushed
//! again in between fails its CAS (ABA). One word, consistent at every instant: a fork copies it in
//! any state.
//!
//! Edges:
//! PARK: push's CAS (Release) → pop's CAS (Acquire): who adopts a heap sees all that its last owner
//!   did to it.
//! LINK: the link is stored before push's CAS (Release) and read behind pop's load (Acquire). A
//!   stale link can only be read together with a stale head, which the CAS refuses.

use super::{AtomicU64, Ordering};

/// The orderings of a stack, so that a model can weaken one and see it fail.
pub trait Orderings {
    const PUSH: Ordering;
    const POP: Ordering;
}

pub struct Strong;
impl Orderings for Strong {
    const PUSH: Ordering = Ordering::Release;
    const POP: Ordering = Ordering::Acquire;
}

pub struct IdStack<O = Strong> {
    head: AtomicU64,
    orderings: core::marker::PhantomData<O>,
}

const ID_BITS: u32 = 32;
const ID_MASK: u64 = (1 << ID_BITS) - 1;

impl<O: Orderings> IdStack<O> {
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        IdStack { head: AtomicU64::new(0), orderings: core::marker::PhantomData }
    }

    #[cfg(loom)]
    pub fn new() -> Self {
        IdStack { head: AtomicU64::new(0), orderings: core::marker::PhantomData }
    }

    /// Pushes `id` (not 0); `set_link` stores the id below it.
    pub fn push(&self, id: u32, mut set_link: impl FnMut(u32)) {
        debug_assert!(id != 0);
        // Relaxed: a guess for the CAS.
        let mut old = self.head.load(Ordering::Relaxed);
        loop {
            set_link((old & ID_MASK) as u32);
            let new = ((old >> ID_BITS).wrapping_add(1) << ID_BITS) | id as u64;
            // PARK and LINK (Release).
            match self.head.compare_exchange_weak(old, new, O::PUSH, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }

    /// The id pushed last; `link_of` loads what `set_link` stored for an id, maybe a stale value.
    pub fn pop(&self, mut link_of: impl FnMut(u32) -> u32) -> Option<u32> {
        // LINK (Acquire).
        let mut old = self.head.load(O::POP);
        loop {
            let id = (old & ID_MASK) as u32;
            if id == 0 {
                return None;
            }
            let new = (old & !ID_MASK) | link_of(id) as u64;
            // PARK (Acquire) where it succeeds; where it fails the new value is read as LINK asks.
            match self.head.compare_exchange_weak(old, new, O::POP, O::POP) {
                Ok(_) => return Some(id),
                Err(now) => old = now,
            }
        }
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU32;
    use loom::thread;
    use std::sync::atomic::{AtomicUsize, Ordering as Plain};

    struct Model<O> {
        stack: IdStack<O>,
        links: [AtomicU32; 2],
        /// What a heap holds: touched by its owner only.
        heaps: [UnsafeCell<u32>; 2],
    }

    impl<O: Orderings> Model<O> {
        fn park(&self, id: u32) {
            self.stack.push(id, |link| self.links[id as usize - 1].store(link, Ordering::Relaxed));
        }

        fn adopt(&self) -> Option<u32> {
            self.stack.pop(|id| self.links[id as usize - 1].load(Ordering::Relaxed))
        }

        fn work(&self, id: u32) {
            // SAFETY: an adopted heap is this thread's alone; loom checks the claim.
            self.heaps[id as usize - 1].with_mut(|heap| unsafe { *heap += 1 });
        }
    }

    /// Two threads adopt, work and park. Returns in how many executions a thread got the heap that
    /// the other had parked. Up to six switches where a thread could have gone on; with BRKMAP_FULL=1 any
    /// number, which takes minutes.
    fn explore<O: Orderings + Send + Sync + 'static>() -> usize {
        let met = std::sync::Arc::new(AtomicUsize::new(0));
        let seen = met.clone();
        let mut all = loom::model::Builder::new();
        all.preemption_bound =
            if std::env::var_os("BRKMAP_FULL").is_some_and(|full| full == "1") { None } else { Some(6) };
        all.check(move || {
            let model = Arc::new(Model::<O> {
                stack: IdStack::new(),
                links: [AtomicU32::new(0), AtomicU32::new(0)],
                heaps: [UnsafeCell::new(0), UnsafeCell::new(0)],
            });
            model.park(1);
            model.park(2);
            let churn = |model: &Model<O>| {
                let mut ids = [0; 2];
                for slot in &mut ids {
                    if let Some(id) = model.adopt() {
                        model.work(id);
                        model.park(id);
                        *slot = id;
                    }
                }
                ids
            };
            let other = model.clone();
            let thread = thread::spawn(move || churn(&other));
            let mine = churn(&model);
            let theirs = thread.join().unwrap();
            if mine.iter().any(|id| theirs.contains(id)) {
                seen.fetch_add(1, Plain::Relaxed);
            }
            let mut left = [model.adopt(), model.adopt()];
            left.sort();
            assert_eq!(left, [Some(1), Some(2)], "a heap was lost");
            assert_eq!(model.adopt(), None);
            let worked: u32 = (0..2).map(|i| model.heaps[i].with(|heap| unsafe { *heap })).sum();
            assert_eq!(worked, 4, "two threads had one heap");
        });
        met.load(Plain::Relaxed)
    }

    #[test]
    fn loom_a_parked_heap_is_adopted_by_one_with_all_that_was_done_to_it() {
        assert!(explore::<Strong>() > 10, "no execution handed a heap over: the model shows nothing");
    }

    struct WeakPark;
    impl Orderings for WeakPark {
        const PUSH: Ordering = Ordering::Relaxed;
        const POP: Ordering = Ordering::Acquire;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_park_is_caught() {
        explore::<WeakPark>();
    }

    struct WeakAdopt;
    impl Orderings for WeakAdopt {
        const PUSH: Ordering = Ordering::Release;
        const POP: Ordering = Ordering::Relaxed;
    }

    #[test]
    #[should_panic]
    fn loom_a_relaxed_adopt_is_caught() {
        explore::<WeakAdopt>();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn last_parked_is_first_adopted() {
        let stack = IdStack::<Strong>::new();
        let mut links = [0u32; 4];
        for id in 1..=3 {
            stack.push(id, |link| links[id as usize] = link);
        }
        let order: Vec<_> = core::iter::from_fn(|| stack.pop(|id| links[id as usize])).collect();
        assert_eq!(order, [3, 2, 1]);
    }
}
