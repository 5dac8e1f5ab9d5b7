// long: one harness, and one test for each promise of the core; apart they would each need its copy.
//! The core over the simulated system: every route, refusals at every call, threads, fork's repair.

use super::*;
use crate::arena::BreakMode;
use crate::base::config::GRANULE;
use crate::base::size_class;
use crate::base::units::{HeapId, SizeClass};
use crate::base::why::{Cause, Reason, Why};
use crate::heap::Stamps;
use crate::heap::registry::Threads;
use crate::os::sim::{Call, Sim};
use crate::slab::stamp;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use proptest::prelude::*;

mod at_hand;
mod children;
mod growth;
mod high;
mod idle;
mod magazines;
mod medium;
mod places;
mod recycled;
mod refusals;
mod sampling;
mod sparse;
mod standing;
mod stats;
mod swing;
mod threads;

/// A multiple that no chunk serves: what is asked for at one, below the threshold, is a span.
const SPAN_ALIGN: usize = 8192;

/// An allocator over the simulated system, and the tokens of the threads that its heaps are for.
struct Harness {
    allocator: Allocator<Sim>,
    tokens: AtomicUsize,
    /// Dropped last: the allocator refers to them.
    _tables: Own<Tables>,
    _samples: Own<Samples>,
}

/// Tables for one allocator, which need not stay for good as those of a process do: Miri looks through all
/// memory that is there, again and again.
struct Own<T>(AtomicPtr<T>);

impl<T> Own<T> {
    /// # Safety
    /// Zeros are a value.
    unsafe fn new() -> Self {
        // SAFETY: as the caller vouches.
        Own(AtomicPtr::new(Box::into_raw(unsafe { Box::<T>::new_zeroed().assume_init() })))
    }

    fn get(&self) -> &'static T {
        // SAFETY: they stay until the harness is dropped, and with it the one allocator that gets them.
        unsafe { &*self.0.load(Ordering::Relaxed) }
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        // SAFETY: made above, and taken back once.
        drop(unsafe { Box::from_raw(*self.0.get_mut()) });
    }
}

/// A live block: where, how long, how aligned, and the byte it is filled with.
#[derive(Clone, Copy)]
struct Held {
    at: *mut u8,
    size: usize,
    fill: u8,
}

impl Harness {
    fn new(os: Sim) -> Self {
        // SAFETY: words and null pointers.
        let (tables, samples) = unsafe { (Own::<Tables>::new(), Own::<Samples>::new()) };
        Harness {
            allocator: Allocator::new(os, tables.get(), samples.get()),
            tokens: AtomicUsize::new(0),
            _tables: tables,
            _samples: samples,
        }
    }

    /// A heap for one thread more. Tokens are even.
    fn heap(&self) -> &Heap {
        self.claim().expect("memory for a heap")
    }

    fn claim(&self) -> Option<&Heap> {
        let token = self.tokens.fetch_add(2, Ordering::Relaxed) + 2;
        self.allocator.arena.os.run_as(token as u64);
        self.allocator.registry.claim(&self.allocator.arena, token)
    }

    /// Parks a heap as its thread ends.
    fn end(&self, id: HeapId) {
        let (arena, registry) = (&self.allocator.arena, &self.allocator.registry);
        registry.heap(id).give_up(arena, registry, &self.allocator.medium);
        // SAFETY: this thread runs the heap and uses it no more.
        unsafe { registry.park(arena, id) };
    }

    fn give_back(&self, heap: &Heap) {
        heap.give_back(&self.allocator.arena, &self.allocator.registry, &self.allocator.medium);
    }

    /// What the child of a fork does whose thread runs `mine`.
    fn repair(&self, mine: &Heap) {
        // SAFETY: one thread, and others' guards were forgotten.
        unsafe { self.allocator.repair_after_fork(self.allocator.registry.owner(mine), Threads::One) };
    }

    /// Another thread, which a fork does not copy, at work: does `work` and is gone.
    fn elsewhere(&self, work: impl FnOnce(&Allocator<Sim>) + Send) {
        let allocator = &self.allocator;
        std::thread::scope(|scope| scope.spawn(move || work(allocator)).join().expect("the other thread"));
    }

    fn alloc(&self, heap: &Heap, size: usize, align: usize) -> Option<*mut u8> {
        let block = match size_class::of_aligned(size, align) {
            Some(class) => {
                let class = class.max(size_class::LEAST);
                let block = heap.pop(class);
                let got = || self.allocator.alloc_class(Some(heap), class).map(|got| got.block);
                let block = if block.is_null() { got()? } else { block };
                // SAFETY: a block of a slab, and this test's.
                unsafe { stamp::take_away(block) };
                block
            }
            None => self.allocator.alloc_big(Some(heap), size, align)?.block,
        };
        assert_eq!(block.addr() % align, 0, "{size} bytes at {align}");
        Some(block)
    }

    fn free(&self, heap: &Heap, block: *mut u8) {
        if !heap.push(block) {
            // SAFETY: the tests free what they hold, once.
            unsafe { self.allocator.free_checked(Freer::Heap(heap), block) };
        }
    }

    fn resize(&self, block: *mut u8, size: usize) -> Option<*mut u8> {
        // SAFETY: a live block, which the tests follow to where it moves.
        match unsafe { self.allocator.resize(block, size) } {
            Resized::To(block) => Some(block),
            Resized::Copy { .. } => None,
            Resized::NoBlock => panic!("no block begins at {block:p}"),
        }
    }

    fn hold(&self, heap: &Heap, size: usize, align: usize, fill: u8) -> Option<Held> {
        let at = self.alloc(heap, size, align)?;
        // SAFETY: a fresh block of at least `size` bytes.
        unsafe { at.write_bytes(fill, size) };
        Some(Held { at, size, fill })
    }

    fn check_and_free(&self, heap: &Heap, held: Held) {
        // SAFETY: a live block of `size` bytes that `hold` filled.
        let bytes = unsafe { core::slice::from_raw_parts(held.at, held.size) };
        assert!(all_are(bytes, held.fill), "a block of {} bytes was overwritten", held.size);
        self.free(heap, held.at);
    }
}

/// Compared as two slices: Miri compares those at once, and takes minutes to look at each byte.
fn all_are(bytes: &[u8], byte: u8) -> bool {
    bytes.split_first().is_none_or(|(&first, others)| first == byte && *others == bytes[..others.len()])
}

const SIZES: [usize; 9] = [0, 1, 16, 100, 1024, 1025, 32 * 1024, 70_000, 200_000];

#[test]
fn every_route_serves_and_takes_back() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    for round in 0..3 {
        let held: Vec<_> =
            SIZES.iter().map(|&size| harness.hold(heap, size, 16, round + 1).expect("memory")).collect();
        for one in held {
            harness.check_and_free(heap, one);
        }
    }
}

#[test]
fn every_alignment_up_to_beyond_a_granule_is_kept() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    for shift in 0..=18 {
        for size in [1, 24, 5000, 40_000] {
            let held = harness.hold(heap, size, 1 << shift, 7).expect("memory");
            harness.check_and_free(heap, held);
        }
    }
}

#[test]
fn small_requests_move_the_break_and_large_ones_do_not() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let small = harness.alloc(heap, 10, 16).unwrap();
    assert_eq!(harness.allocator.arena.figures().unwrap().mode, BreakMode::Break);
    let (grown, mapped) =
        (harness.allocator.arena.os.calls(Call::GrowBreak), harness.allocator.arena.os.calls(Call::Map));
    assert_eq!(grown, 1);
    let large = harness.alloc(heap, 128 * 1024, 16).unwrap();
    assert_eq!(harness.allocator.arena.os.calls(Call::GrowBreak), grown);
    assert!(harness.allocator.arena.os.calls(Call::Map) > mapped);
    let below = harness.alloc(heap, 128 * 1024 - 1, 16).unwrap();
    let maps = harness.allocator.arena.os.calls(Call::Map);
    assert_eq!(harness.allocator.large.figures().live, 1);
    for block in [small, large, below] {
        harness.free(heap, block);
    }
    assert_eq!(harness.allocator.arena.os.calls(Call::Map), maps);
}

#[test]
fn any_single_refusal_is_survived_and_forgotten() {
    let calls = [Call::GrowBreak, Call::Map, Call::MapNear, Call::Unmap, Call::Purge];
    for call in calls {
        for nth in 0..if cfg!(miri) { 1 } else { 8 } {
            let os = Sim::new();
            os.refuse(call, nth, 1);
            let harness = Harness::new(os);
            let mut served = 0;
            let rounds = if cfg!(miri) { 2 } else { 3 };
            for _ in 0..rounds {
                let Some(heap) = harness.claim() else { continue };
                let held: Vec<_> = SIZES.iter().filter_map(|&size| harness.hold(heap, size, 16, 9)).collect();
                served += held.len();
                for one in held {
                    harness.check_and_free(heap, one);
                }
            }
            assert!(served >= SIZES.len() * (rounds - 1) - 2, "{call:?} number {nth}: only {served} served");
        }
    }
}

#[test]
fn with_everything_refused_requests_fail_and_later_ones_do_not() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    harness.allocator.arena.os.refuse_everything(true);
    assert!(harness.alloc(heap, 10, 16).is_none());
    assert!(harness.alloc(heap, 1 << 20, 16).is_none());
    harness.allocator.arena.os.refuse_everything(false);
    for size in [10, 1 << 20] {
        let held = harness.hold(heap, size, 16, 3).expect("the fault is gone");
        harness.check_and_free(heap, held);
    }
}

#[test]
fn blocks_freed_by_another_heap_come_home() {
    let harness = Harness::new(Sim::new());
    let (owner, other) = (harness.heap(), harness.heap());
    assert!(owner.id() != other.id());
    let (rounds, count) = if cfg!(miri) { (3, 60) } else { (50, 200) };
    let mut arena_bytes = 0;
    for round in 0..rounds {
        let held: Vec<_> = (0..count).map(|k| harness.hold(owner, 64, 16, k as u8).unwrap()).collect();
        for one in held {
            harness.check_and_free(other, one);
        }
        harness.give_back(other);
        let gained = harness.allocator.arena.figures().unwrap().in_use.0;
        assert!(round < 2 || gained <= arena_bytes, "blocks did not come home: {gained} after {arena_bytes}");
        arena_bytes = gained;
    }
}

#[test]
fn threads_without_a_heap_are_served_and_what_they_free_comes_home() {
    let harness = Harness::new(Sim::new());
    let allocator = &harness.allocator;
    assert!(allocator.alloc_class(None, size_class::of(64)).is_none(), "no heap to lend from yet");
    let heap = harness.heap();
    let in_use = || allocator.arena.figures().unwrap().in_use.0;
    for freer in [Freer::Visitor, Freer::Consumer] {
        let lent: Vec<_> = [16, 64, 64, 30_000]
            .map(|size| allocator.alloc_class(None, size_class::of(size)).expect("memory").block)
            .into_iter()
            .chain([70_000, 1 << 20].map(|size| allocator.alloc_big(None, size, 16).expect("memory").block))
            .chain([harness.alloc(heap, 64, 16).unwrap()])
            .collect();
        assert!(lent.iter().enumerate().all(|(k, block)| !lent[..k].contains(block)));
        for &block in &lent {
            // SAFETY: got above, freed once.
            unsafe { allocator.free_slow(freer, block) };
        }
        allocator.trim(Some(heap));
        assert_eq!((in_use(), allocator.large.figures().live), (0, 0));
    }
}

#[test]
fn a_parked_heap_keeps_nothing_of_what_is_sent_to_it() {
    let harness = Harness::new(Sim::new());
    let (ending, other) = (harness.heap(), harness.heap());
    let held: Vec<_> = (0..20).map(|_| harness.alloc(ending, 4096, 16).unwrap()).collect();
    harness.end(ending.id());
    held.into_iter().for_each(|block| harness.free(other, block));
    harness.give_back(other);
    assert_eq!(harness.allocator.arena.figures().unwrap().in_use.0, 0);
}

#[test]
fn a_parked_heap_is_adopted_with_what_it_has() {
    let harness = Harness::new(Sim::new());
    let first = harness.heap();
    let held = harness.hold(first, 64, 16, 5).unwrap();
    let id = first.id();
    harness.end(first.id());
    let again = harness.heap();
    assert_eq!(again.id(), id);
    harness.check_and_free(again, held);
}

#[test]
fn what_is_freed_goes_back_to_the_system() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let count = if cfg!(miri) { 150 } else { 3000 };
    let mut held: Vec<_> =
        (0..count).map(|k| harness.hold(heap, 16 + k % 1000, 16, k as u8).unwrap()).collect();
    let mut seed = 7usize;
    while !held.is_empty() {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let one = held.swap_remove((seed >> 33) % held.len());
        harness.check_and_free(heap, one);
    }
    harness.allocator.trim(Some(heap));
    let figures = harness.allocator.arena.figures().unwrap();
    assert_eq!((figures.in_use.0, figures.dirty.0), (0, 0));
}

#[test]
fn zeroed_memory_is_told_from_used() {
    let harness = Harness::new(Sim::new());
    let fresh = harness.allocator.alloc_big(None, 70_000, SPAN_ALIGN).unwrap();
    assert_eq!(fresh.zeroed_from, 0);
    // SAFETY: a fresh block of 70,000 bytes.
    unsafe { fresh.block.write_bytes(1, 70_000) };
    let heap = harness.heap();
    harness.free(heap, fresh.block);
    assert_eq!(harness.allocator.alloc_big(None, 70_000, SPAN_ALIGN).unwrap().zeroed_from, usize::MAX);
    harness.allocator.arena.purge_all(Cause::Program);
    let large = harness.allocator.alloc_big(None, 1 << 20, 16).unwrap();
    assert_eq!(large.zeroed_from, 0);
}

#[test]
fn a_large_block_keeps_its_bytes_when_it_is_resized() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let held = harness.hold(heap, 200_000, 16, 9).unwrap();
    let grown = harness.resize(held.at, 900_000).expect("mremap");
    harness.check_and_free(heap, Held { at: grown, ..held });
    let span = harness.hold(heap, 40_000, SPAN_ALIGN, 8).unwrap();
    assert_eq!(harness.resize(span.at, 100_000), Some(span.at), "the next granule is free");
    let before = harness.allocator.arena.figures().unwrap().in_use;
    assert_eq!(harness.resize(span.at, 50_000), Some(span.at));
    let after = harness.allocator.arena.figures().unwrap().in_use;
    assert_eq!(before.0 - after.0, GRANULE, "the end of the span went back");
    harness.check_and_free(heap, span);
}

#[test]
fn a_block_of_a_class_stays_where_it_is_while_half_of_it_is_used() {
    let harness = Harness::new(Sim::new());
    let heap = harness.heap();
    let held = harness.hold(heap, 1024, 16, 7).unwrap();
    assert_eq!(harness.resize(held.at, 512), Some(held.at));
    assert_eq!(harness.resize(held.at, 511), None);
    assert_eq!(harness.resize(held.at, 1025), None);
    harness.check_and_free(heap, held);
    // No smaller class would hold it.
    let small = harness.alloc(heap, 16, 16).unwrap();
    assert!((1..=16).all(|size| harness.resize(small, size) == Some(small)));
    harness.free(heap, small);
}

#[test]
fn the_child_of_a_fork_can_free_what_it_inherits_whatever_lock_was_held() {
    let harness = Harness::new(Sim::new());
    let (mine, theirs) = (harness.heap(), harness.heap());
    let mut held: Vec<_> = (0..300).map(|k| harness.hold(theirs, 48, 16, k as u8).unwrap()).collect();
    held.extend((0..300).map(|k| harness.hold(mine, 48, 16, k as u8).unwrap()));
    // What a fork would copy while another thread is at work: every lock taken, its holder gone.
    harness.elsewhere(Allocator::leak_every_lock);
    harness.repair(mine);
    for one in held {
        harness.check_and_free(mine, one);
    }
    let fresh: Vec<_> = SIZES.iter().map(|&size| harness.hold(mine, size, 16, 4).expect("memory")).collect();
    for one in fresh {
        harness.check_and_free(mine, one);
    }
    let adopted = harness.heap();
    assert_eq!(adopted.id(), theirs.id(), "the other thread's heap is there to adopt");
}

impl Allocator<Sim> {
    fn leak_every_lock(&self) {
        core::mem::forget(self.arena.hold_lock());
        core::mem::forget(self.large.hold_lock());
        self.registry.for_each(|heap| core::mem::forget(heap.shared.hold_lock()));
    }
}

#[derive(Clone, Debug)]
enum Op {
    Alloc { heap: usize, size: usize, align: u32 },
    Free { heap: usize, which: prop::sample::Index },
    Resize { which: prop::sample::Index, size: usize },
    Zeroed { heap: usize, size: usize },
    Refuse(Call),
    Trim,
}

fn op() -> impl Strategy<Value = Op> {
    let size = || prop_oneof![4 => 0usize..600, 2 => 600usize..40_000, 1 => 40_000usize..300_000];
    prop_oneof![
        8 => (0usize..2, size(), 0u32..14).prop_map(|(heap, size, align)| Op::Alloc { heap, size, align }),
        6 => (0usize..2, any::<prop::sample::Index>()).prop_map(|(heap, which)| Op::Free { heap, which }),
        2 => (any::<prop::sample::Index>(), size()).prop_map(|(which, size)| Op::Resize { which, size }),
        2 => (0usize..2, size()).prop_map(|(heap, size)| Op::Zeroed { heap, size }),
        1 => prop::sample::select(vec![Call::GrowBreak, Call::Map, Call::Purge, Call::Remap, Call::Unmap])
            .prop_map(Op::Refuse),
        1 => Just(Op::Trim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        // A case is up to 300 operations over fresh memory: under qemu many cases take minutes.
        cases: if cfg!(miri) { 2 } else { 48 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Blocks never overlap, keep their contents and alignment, are zero where zero was asked, and what
    /// one heap got another may free, whatever the system refuses.
    #[test]
    fn any_sequence_of_operations_agrees_with_a_shadow(
        ops in prop::collection::vec(op(), 1..if cfg!(miri) { 30 } else { 300 }),
    ) {
        let harness = Harness::new(Sim::new());
        let heaps = [harness.heap(), harness.heap()];
        let mut held: Vec<Held> = Vec::new();
        let mut fill = 0u8;
        for op in ops {
            fill = fill.wrapping_add(1);
            match op {
                Op::Alloc { heap, size, align } => {
                    held.extend(harness.hold(heaps[heap], size, 1 << align, fill));
                }
                Op::Free { heap, which } if !held.is_empty() => {
                    let one = held.swap_remove(which.index(held.len()));
                    harness.check_and_free(heaps[heap], one);
                }
                Op::Resize { which, size } if !held.is_empty() => {
                    let at = which.index(held.len());
                    let one = &mut held[at];
                    if let Some(at) = harness.resize(one.at, size) {
                        one.at = at;
                        one.size = one.size.min(size);
                    }
                }
                Op::Zeroed { heap, size } => {
                    let got = match size_class::of_aligned(size, 1) {
                        Some(class) => harness.allocator.alloc_class_or_pop(heaps[heap], class),
                        None => harness.allocator.alloc_big(None, size, 1),
                    };
                    let at = zeroed(got, size);
                    if !at.is_null() {
                        // SAFETY: a block of at least `size` bytes.
                        let bytes = unsafe { core::slice::from_raw_parts(at, size) };
                        let zero = all_are(bytes, 0);
                        prop_assert!(zero, "{} bytes were not all zero", size);
                        held.push(Held { at, size, fill: 0 });
                    }
                }
                Op::Refuse(call) => harness.allocator.arena.os.refuse(call, 0, 2),
                Op::Trim => _ = harness.allocator.trim(None),
                _ => {}
            }
        }
        for one in held {
            harness.check_and_free(heaps[0], one);
        }
    }
}

impl Allocator<Sim> {
    fn alloc_class_or_pop(&self, heap: &Heap, class: SizeClass) -> Option<Allocated> {
        let block = heap.pop(class);
        if block.is_null() {
            return self.alloc_class(Some(heap), class);
        }
        Some(Allocated::unknown(block))
    }
}
