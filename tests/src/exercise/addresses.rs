//! What a program takes of its address space, and what of it goes back.

use std::alloc::GlobalAlloc;
use std::collections::{BTreeSet, VecDeque};

use super::blocked::Reservation;
use super::blocks::Blocks;
use super::{KIB, MIB, get, put, touch};
use crate::measure;
use crate::random::Random;
use crate::table::Table;

/// What may stay over what was there before: a region that waits for the next request is among it.
const SLACK: usize = 64 * MIB;

pub fn main<A: GlobalAlloc + Sync>(alloc: &'static A, words: &[&str]) {
    match words {
        ["few"] => few(alloc),
        ["grow", mib] => grow(alloc, super::number(mib) * MIB),
        ["back", kind] => back(alloc, kind),
        ["back", kind, "blocked"] => {
            let _reservation = Reservation::of_all_above_the_break();
            back(alloc, kind);
        }
        ["back-of-threads"] => back_of_threads(alloc),
        ["again-and-again"] => again_and_again(alloc),
        ["again-and-again", "blocked"] => {
            let _reservation = Reservation::of_all_above_the_break();
            again_and_again(alloc);
        }
        ["dump"] => dump(alloc),
        ["dump", "wait"] => dump_when_told(alloc),
        _ => panic!("no scenario of addresses {words:?}"),
    }
}

/// A program with a few blocks of each kind. Prints its address space.
fn few<A: GlobalAlloc>(alloc: &A) {
    for size in [10, 1000, 40 * KIB, MIB] {
        let block = get(alloc, size);
        assert!(!block.is_null());
        // SAFETY: got above, of this size, and given up.
        unsafe {
            touch(block, size);
            put(alloc, block, size);
        }
    }
    println!("{}", measure::address_space());
}

/// Small blocks, so many bytes of them, and no more.
fn grow<A: GlobalAlloc>(alloc: &A, bytes: usize) {
    const SIZE: usize = 1000;
    for at in 0..bytes / SIZE {
        let block = get(alloc, SIZE);
        assert!(!block.is_null(), "no memory behind {} KiB", at * SIZE / KIB);
        // SAFETY: live and of this size.
        unsafe { block.write_bytes(1, SIZE) };
    }
}

/// Takes much of one kind and frees it, again and again. What comes first, once, is there before it is measured.
fn back<A: GlobalAlloc>(alloc: &A, kind: &str) {
    const TOTAL: usize = 512 * MIB;
    let mut random = Random::new(4);
    Blocks::take(alloc, kind, &mut random, 16 * MIB).free(alloc, &mut random);
    let before = measure::address_space();
    for turn in 0..3 {
        let blocks = Blocks::take(alloc, kind, &mut random, TOTAL);
        assert!(measure::address_space() >= before + TOTAL - SLACK, "this test measures nothing");
        blocks.free(alloc, &mut random);
        assert_back(before, &format!("{kind} blocks were freed, round {turn}"));
    }
}

fn assert_back(before: usize, when: &str) {
    let more = measure::address_space().saturating_sub(before);
    assert!(more <= SLACK, "{} MiB of addresses more than before after all {when}", more / MIB);
}

/// The same of threads that work at the same time, and end.
fn back_of_threads<A: GlobalAlloc + Sync>(alloc: &'static A) {
    const THREADS: u64 = 4;
    let work = |total: usize| {
        std::thread::scope(|scope| {
            for seed in 0..THREADS {
                // libc keeps stacks of ended threads: small ones.
                let builder = std::thread::Builder::new().stack_size(128 * KIB);
                let thread = builder.spawn_scoped(scope, move || {
                    let mut random = Random::new(seed);
                    Blocks::take(alloc, "mixed", &mut random, total).free(alloc, &mut random);
                });
                thread.expect("a thread");
            }
        });
    };
    work(4 * MIB);
    let before = measure::address_space();
    work(128 * MIB);
    // The scope waits for what the threads do, not for their end, when the last of it goes back.
    while std::fs::read_dir("/proc/self/task").expect("the threads").count() > 1 {
        std::thread::yield_now();
    }
    assert_back(before, "blocks of threads were freed");
}

/// Takes and frees the same over and over, in a process with threads: it is where it was, and the addresses do not
/// become more. In every round some of it stays for the next two, so that what goes back is never the last.
fn again_and_again<A: GlobalAlloc>(alloc: &A) {
    const SIZE: usize = 100 * KIB;
    const COUNT: usize = 1500;
    const ROUNDS: usize = 400;
    const PLACE: usize = 64 * MIB;
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let second = std::thread::spawn(move || stopped.recv().is_err());
    let mut kept: VecDeque<*mut u8> = VecDeque::with_capacity(16);
    let mut blocks = Table::<*mut u8>::new(COUNT);
    let (mut places, mut before) = (BTreeSet::new(), 0);
    for round in 0..ROUNDS {
        for block in blocks.iter_mut() {
            *block = get(alloc, SIZE);
            assert!(!block.is_null());
            places.insert(block.addr() / PLACE);
        }
        kept.extend([blocks[COUNT / 2], blocks[COUNT - 1 - round % 7]]);
        for block in blocks.iter().filter(|block| !kept.contains(block)) {
            // SAFETY: got above, given up here.
            unsafe { put(alloc, *block, SIZE) };
        }
        if kept.len() > 4 {
            // SAFETY: got in an earlier round, given up here.
            kept.drain(..2).for_each(|block| unsafe { put(alloc, block, SIZE) });
        }
        if round == 20 {
            before = measure::address_space();
        }
    }
    // SAFETY: got above, given up here.
    kept.drain(..).for_each(|block| unsafe { put(alloc, block, SIZE) });
    let spread = places.len() * PLACE;
    assert!(spread <= 2048 * MIB, "blocks of 150 MiB a round lay in {} MiB of addresses", spread / MIB);
    assert_back(before, "rounds");
    drop(stop);
    assert!(second.join().expect("the second thread"));
}

/// A small heap, and the end by a signal that leaves a core.
fn dump<A: GlobalAlloc>(alloc: &A) {
    small_heap(alloc);
    std::process::abort();
}

/// A small heap, which somebody else is to write down.
fn dump_when_told<A: GlobalAlloc>(alloc: &A) {
    small_heap(alloc);
    println!("ready");
    loop {
        std::thread::park();
    }
}

fn small_heap<A: GlobalAlloc>(alloc: &A) {
    for size in std::iter::repeat_n(100, 10_000).chain([MIB]) {
        let block = get(alloc, size);
        assert!(!block.is_null());
        // SAFETY: live and of this size.
        unsafe { block.write_bytes(1, size) };
    }
}
