//! Threads that come, free, and go: how many heaps they leave.
//!
//! Threads are made by pthread_create: what std's own threads ask for before they run is no part of it.

use std::alloc::GlobalAlloc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{KIB, MIB, get, put};
use crate::measure;
use crate::table::Table;

/// Heaps beyond one for each thread that allocates.
const MORE: usize = 2;

/// Of a thread. libc keeps 40 MiB of stacks of ended ones: more, and it frees what it made for some of them.
const STACK: usize = 8 * MIB;

/// Runs `work` in a thread with a stack of so many bytes for each of 0..`count`, all at once, and waits for their ends.
/// They are detached: what libc has made for a thread it frees in that thread, behind its last destructor.
pub(super) fn all_at_once<W: Fn(usize) + Sync>(count: usize, stack: usize, work: &W) {
    extern "C" fn body<W: Fn(usize) + Sync>(argument: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: a part of the table below, which lives until all have ended.
        let (work, barrier, one) = unsafe { &*argument.cast::<(&W, &Barrier, usize)>() };
        barrier.wait();
        work(*one);
        std::ptr::null_mut()
    }
    let barrier = Barrier::new(count);
    let before = measure::threads();
    let arguments: Vec<_> = (0..count).map(|one| (work, &barrier, one)).collect();
    for argument in &arguments {
        // SAFETY: the attributes are initialised before use; the argument outlives the thread.
        unsafe {
            let (mut thread, mut attributes) = (std::mem::zeroed(), std::mem::zeroed());
            assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
            assert_eq!(libc::pthread_attr_setstacksize(&mut attributes, stack), 0);
            assert_eq!(libc::pthread_attr_setdetachstate(&mut attributes, libc::PTHREAD_CREATE_DETACHED), 0);
            let argument: *const (&W, &Barrier, usize) = argument;
            let made = libc::pthread_create(&mut thread, &attributes, body::<W>, argument.cast_mut().cast());
            assert_eq!(made, 0);
        }
    }
    while measure::threads() > before {
        std::thread::yield_now();
    }
}

fn assert_heaps(allocating: usize, what: &str) {
    let heaps = measure::heaps() as usize;
    assert!(
        heaps <= allocating + MORE,
        "{heaps} heaps for {allocating} threads that allocate at once: {what}"
    );
}

/// Threads that free what the first one allocated, so many each, and allocate nothing.
pub fn only_free<A: GlobalAlloc + Sync>(alloc: &'static A, each: usize, at_once: usize) {
    const SIZES: [usize; 5] = [16, 100, 600, 3000, 9000];
    let size = |k: usize| SIZES[k % SIZES.len()];
    // Of many blocks each a few rounds, or it takes minutes.
    let rounds = (4000 / at_once).min(1_500_000 / (each * at_once).max(1));
    let mut blocks = Table::<usize>::new((at_once * each).max(1));
    let mut settled = 0;
    for round in 0..rounds {
        for k in 0..at_once * each {
            let block = get(alloc, size(k));
            assert!(!block.is_null());
            blocks[k] = block.expose_provenance();
        }
        let blocks: &[usize] = &blocks;
        all_at_once(at_once, STACK, &|one| {
            for (k, &block) in blocks.iter().enumerate().skip(one * each).take(each) {
                // SAFETY: got above, given up here.
                unsafe { put(alloc, std::ptr::with_exposed_provenance_mut(block), size(k)) };
            }
        });
        // What may stay comes to stay in some thirty rounds, and moves by more than a mebibyte from round to round.
        if round <= rounds / 2 {
            settled = settled.max(measure::resident());
        }
    }
    assert_heaps(1, "they only freed");
    let more = measure::resident().saturating_sub(settled);
    assert!(more < 2 * MIB, "{} KiB more after {rounds} rounds", more / KIB);
}

/// Threads that first allocate when their destructors run, in the `first` round of them, and then in each.
pub fn late_destructors<A: GlobalAlloc + Sync>(alloc: &'static A, first: usize, at_once: usize) {
    static KEY: AtomicUsize = AtomicUsize::new(0);
    /// libc's rounds: PTHREAD_DESTRUCTOR_ITERATIONS.
    const ROUNDS: usize = 4;
    /// What a thread's key holds: which round is next, from which on it allocates, and on what.
    struct Turn<A: 'static> {
        round: usize,
        first: usize,
        alloc: &'static A,
    }
    extern "C" fn destroy<A: GlobalAlloc + 'static>(turn: *mut libc::c_void) {
        // SAFETY: the turn of this thread, which outlives it.
        let turn = unsafe { &mut *turn.cast::<Turn<A>>() };
        turn.round += 1;
        if turn.round >= turn.first {
            for size in [10, 1000, 5000] {
                let block = get(turn.alloc, size);
                assert!(!block.is_null());
                // SAFETY: got above, given up here.
                unsafe { put(turn.alloc, block, size) };
            }
        }
        if turn.round < ROUNDS {
            let again: *mut Turn<A> = turn;
            set(again.cast());
        }
    }
    fn set(turn: *mut libc::c_void) {
        // SAFETY: the key exists.
        unsafe { libc::pthread_setspecific(KEY.load(Ordering::Relaxed) as libc::pthread_key_t, turn) };
    }
    let mut key = 0;
    // SAFETY: makes a key whose destructor expects a turn.
    assert_eq!(unsafe { libc::pthread_key_create(&mut key, Some(destroy::<A>)) }, 0);
    KEY.store(key as usize, Ordering::Relaxed);
    for _ in 0..800 / at_once {
        // Made here, so that the threads ask for nothing before their destructors run.
        let mut made: Vec<_> = (0..at_once).map(|_| Turn { round: 0, first, alloc }).collect();
        let turns: Vec<_> =
            made.iter_mut().map(|turn| std::ptr::from_mut(turn).expose_provenance()).collect();
        all_at_once(at_once, STACK, &|one| set(std::ptr::with_exposed_provenance_mut(turns[one])));
    }
    assert_heaps(at_once + 1, "their destructors allocated");
}
