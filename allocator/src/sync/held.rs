//! How a thread shows others what it has at hand, so that they can look whether a block is there.
//!
//! ```text
//!   push   slot ─► top (RAISE)          look   busy? (ASK) ─► top (LOOK) ─► the slots from there down
//!   pop            top (LOWER)
//!   slow path   busy ─► blocks sent home ─► top (LOWER) ─► not busy (DONE)
//! ```
//!
//! A look must not find a block that is with the program, which got it from this thread or another one.
//!
//! Edge HELD: a push's slot, then RAISE or a later LOWER (Release) → LOOK (Acquire), then the slot: who sees
//! a top sees of every push below it the block that it brought, not the one that was handed out from there
//! before.
//!
//! Edge BUSY: DONE (Release) → ASK (Acquire): a block that is sent home stands in its slot until the slow
//! path ends, and may be handed out elsewhere meanwhile. Who got it since sees the thread busy, by the edges
//! that brought it, or sees that it is not any more and the top that it left.

use super::Ordering;

/// The orderings, so that a model can weaken one and see it fail.
pub trait Orderings {
    const RAISE: Ordering = Ordering::Release;
    const LOWER: Ordering = Ordering::Release;
    const LOOK: Ordering = Ordering::Acquire;
    const DONE: Ordering = Ordering::Release;
    const ASK: Ordering = Ordering::Acquire;
}

pub struct Strong;
impl Orderings for Strong {}

#[cfg(all(test, brkmap_loom))]
mod loom_models {
    use super::*;
    use crate::sync::{AtomicBool, AtomicU64};
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::atomic::{AtomicUsize, Ordering as Plain};

    const BLOCK: u64 = 7;

    /// A magazine of two slots above the lowest, whose top is an index.
    struct Model {
        busy: AtomicBool,
        top: AtomicU64,
        slots: [AtomicU64; 3],
        /// Where a block is that was sent home, for who takes it from there.
        home: AtomicU64,
    }

    impl Model {
        /// The block stands in the first slot, at hand or left behind.
        fn new(top: u64) -> Model {
            Model {
                busy: AtomicBool::new(false),
                top: AtomicU64::new(top),
                slots: [AtomicU64::new(0), AtomicU64::new(BLOCK), AtomicU64::new(0)],
                home: AtomicU64::new(0),
            }
        }

        /// Pushes a block into a slot, the one above the top: the thread knows its own top.
        fn push<O: Orderings>(&self, slot: u64, block: u64) {
            self.slots[slot as usize].store(block, Ordering::Relaxed);
            self.top.store(slot, O::RAISE);
        }

        /// Pops the block of a slot, the top's.
        fn pop<O: Orderings>(&self, slot: u64) {
            self.top.store(slot - 1, O::LOWER);
        }

        fn send_home<O: Orderings>(&self) {
            self.busy.store(true, Ordering::Relaxed);
            // Edge PUBLISH of `inbox`.
            self.home.store(BLOCK, Ordering::Release);
            self.pop::<O>(1);
            self.busy.store(false, O::DONE);
        }

        /// How far the look went down, if the block was not found.
        fn look<O: Orderings>(&self) -> u64 {
            if self.busy.load(O::ASK) {
                return 0;
            }
            let top = self.top.load(O::LOOK);
            for slot in (1..=top).rev() {
                let held = self.slots[slot as usize].load(Ordering::Relaxed);
                assert_ne!(held, BLOCK, "a block that is out was found at hand");
            }
            top
        }
    }

    /// How many executions had something to look at.
    fn explore(
        top: u64,
        owner: impl Fn(&Model) + Copy + Send + Sync + 'static,
        other: impl Fn(&Model) -> u64 + Copy + Send + Sync + 'static,
    ) -> usize {
        let met = std::sync::Arc::new(AtomicUsize::new(0));
        let seen = met.clone();
        loom::model(move || {
            let model = Arc::new(Model::new(top));
            let thread = {
                let model = model.clone();
                thread::spawn(move || owner(&model))
            };
            seen.fetch_add((other(&model) > 0) as usize, Plain::Relaxed);
            thread.join().unwrap();
        });
        met.load(Plain::Relaxed)
    }

    /// The block was popped, and others are pushed and popped in its place.
    fn moved<O: Orderings + 'static>() -> usize {
        let owner = |model: &Model| {
            model.push::<O>(1, 1);
            model.push::<O>(2, 2);
            model.pop::<O>(2);
        };
        explore(0, owner, |model| model.look::<O>())
    }

    /// The block is sent home, and handed out from there to who looks.
    fn sent<O: Orderings + 'static>() -> usize {
        explore(1, Model::send_home::<O>, |model| {
            // PUBLISH (Acquire).
            if model.home.load(Ordering::Acquire) != BLOCK {
                return 0;
            }
            model.look::<O>();
            1
        })
    }

    #[test]
    fn loom_a_block_that_is_out_is_not_found() {
        assert!(moved::<Strong>() > 0, "no look saw a push: the model shows nothing");
        assert!(sent::<Strong>() > 0, "nobody got the block: the model shows nothing");
    }

    macro_rules! weak {
        ($test:ident, $model:ident, $which:ident) => {
            #[test]
            #[should_panic(expected = "found at hand")]
            fn $test() {
                struct Weak;
                impl Orderings for Weak {
                    const $which: Ordering = Ordering::Relaxed;
                }
                $model::<Weak>();
            }
        };
    }

    weak!(loom_a_relaxed_push_is_caught, moved, RAISE);
    weak!(loom_a_relaxed_pop_is_caught, moved, LOWER);
    weak!(loom_a_relaxed_look_is_caught, moved, LOOK);
    weak!(loom_a_relaxed_end_of_a_slow_path_is_caught, sent, DONE);
    weak!(loom_a_relaxed_question_is_caught, sent, ASK);
}
