//! How much memory threads may hold: the bounds are written here, each with what it is made of.

use std::alloc::GlobalAlloc;
use std::sync::mpsc::sync_channel;
use std::sync::{Barrier, Mutex};

use super::{KIB, MIB, get, put, touch};
use crate::measure;
use crate::random::Random;
use crate::table::Table;

/// What an allocator at rest may hold over the live bytes (see `give_back`), with at most a few threads.
const REST: usize = 8 * MIB;
/// One partly used slab of 64 KiB for each of about 84 classes, for one thread that uses them all.
const SLABS: usize = 84 * 64 * KIB;
/// Blocks are rounded up to their class, slabs have a remainder: at most an eighth each.
const fn rounded(live: usize) -> usize {
    live + live / 4
}

fn resident_over(before: usize) -> usize {
    measure::resident().saturating_sub(before)
}

/// A block on its way to another thread: where and how large.
type Sent = (usize, usize);

/// # Safety
/// A live block got from `get`, given up here.
unsafe fn put_sent<A: GlobalAlloc>(alloc: &A, (block, size): Sent) {
    // SAFETY: as the caller promises; the address was exposed when it was sent.
    unsafe { put(alloc, std::ptr::with_exposed_provenance_mut(block), size) };
}

fn get_sent<A: GlobalAlloc>(alloc: &A, size: usize) -> Sent {
    let block = get(alloc, size);
    assert!(!block.is_null());
    // SAFETY: live and of this size.
    unsafe { touch(block, size) };
    (block.expose_provenance(), size)
}

/// One thread allocates, another frees, 1 GiB in all with little in flight.
pub fn pair<A: GlobalAlloc + Sync>(alloc: &'static A) {
    const IN_FLIGHT: usize = 1024;
    const LARGEST: usize = 2 * KIB;
    let bound = rounded(IN_FLIGHT * LARGEST) + SLABS + REST;
    let before = measure::resident();
    let (sender, receiver) = sync_channel::<Sent>(IN_FLIGHT);
    let consumer = std::thread::spawn(move || {
        for sent in receiver {
            // SAFETY: the producer got it and gave it up.
            unsafe { put_sent(alloc, sent) };
        }
    });
    let mut random = Random::new(2);
    for turn in 0..1_000_000 {
        sender.send(get_sent(alloc, random.between(16, LARGEST))).expect("the consumer");
        if turn % 50_000 == 0 {
            let now = resident_over(before);
            assert!(
                now <= bound,
                "{} KiB resident after {turn} blocks, bound {} KiB",
                now / KIB,
                bound / KIB
            );
        }
    }
    drop(sender);
    consumer.join().expect("the consumer");
    let now = resident_over(before);
    assert!(now <= bound, "{} KiB resident in the end, bound {} KiB", now / KIB, bound / KIB);
}

/// A thread that never allocates frees everything another allocated, batch by batch.
pub fn only_frees<A: GlobalAlloc + Sync>(alloc: &'static A) {
    const BATCH: usize = 32 * MIB;
    const ROUNDS: usize = 16;
    let blocks = Mutex::new((Table::<usize>::new(BATCH / 16), Table::<usize>::new(BATCH / 16), 0));
    let (full, empty) = (Barrier::new(2), Barrier::new(2));
    let mut random = Random::new(3);
    let before = measure::resident();
    // The table itself is resident once it was used.
    let table = 2 * BATCH / 16 * size_of::<usize>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                full.wait();
                let batch = blocks.lock().expect("the other thread");
                for at in 0..batch.2 {
                    // SAFETY: got by the other thread and given up by it.
                    unsafe { put_sent(alloc, (batch.0[at], batch.1[at])) };
                }
                drop(batch);
                empty.wait();
            }
            // Alive until the end: what it holds counts.
            empty.wait();
        });
        for round in 0..ROUNDS {
            let mut batch = blocks.lock().expect("the other thread");
            let mut live = 0;
            batch.2 = 0;
            while live < BATCH {
                let (block, size) = get_sent(alloc, random.between(16, KIB));
                let at = batch.2;
                (batch.0[at], batch.1[at]) = (block, size);
                batch.2 += 1;
                live += size;
            }
            drop(batch);
            let bound = rounded(BATCH) + REST + table;
            let now = resident_over(before);
            assert!(now <= bound, "{} KiB resident in round {round}, bound {} KiB", now / KIB, bound / KIB);
            full.wait();
            empty.wait();
        }
        // The bound at rest holds from the owner's next refill: others cannot empty a heap that its thread may be
        // using.
        for size in (16..=KIB).step_by(16) {
            let block = get(alloc, size);
            // SAFETY: got above, given up here.
            unsafe { put(alloc, block, size) };
        }
        let bound = SLABS + REST + table;
        let now = resident_over(before);
        assert!(now <= bound, "{} KiB resident in the end, bound {} KiB", now / KIB, bound / KIB);
        empty.wait();
    });
}

/// A thousand threads, four at a time, each leaving half of its blocks to the first thread to free.
pub fn churn<A: GlobalAlloc + Sync>(alloc: &'static A) {
    const EACH: usize = MIB;
    const AT_ONCE: usize = 4;
    // The stacks are libc's; each has a few touched pages that libc keeps for the next thread.
    let stacks = AT_ONCE * 64 * KIB;
    let bound = rounded(AT_ONCE * EACH) + AT_ONCE * SLABS + REST + stacks;
    let before = measure::resident();
    for generation in 0..250 {
        let (sender, receiver) = sync_channel::<Sent>(16 * 1024);
        let threads: Vec<_> = (0..AT_ONCE)
            .map(|one| {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    let mut random = Random::new((generation * AT_ONCE + one) as u64);
                    let mut live = 0;
                    while live < EACH {
                        let sent = get_sent(alloc, random.between(16, 4 * KIB));
                        live += sent.1;
                        if random.below(2) == 0 {
                            // SAFETY: got above, given up here.
                            unsafe { put_sent(alloc, sent) };
                        } else {
                            sender.send(sent).expect("the first thread");
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        for thread in threads {
            thread.join().expect("a thread");
        }
        for sent in receiver {
            // SAFETY: its thread gave it up.
            unsafe { put_sent(alloc, sent) };
        }
        let now = resident_over(before);
        assert!(
            now <= bound,
            "{} KiB resident after generation {generation}, bound {} KiB",
            now / KIB,
            bound / KIB
        );
    }
}

/// Two hundred threads that have all allocated and freed, and are all still there.
pub fn two_hundred<A: GlobalAlloc + Sync>(alloc: &'static A) {
    const THREADS: usize = 200;
    // For each thread: 64 KiB of touched stack and thread-local storage, 192 KiB for its heap's records,
    // its magazines, and the slabs it has begun and not yet given up. With none of it bounded, the MiB each
    // thread went through would stay: 200 MiB.
    let bound = THREADS * 256 * KIB + REST;
    let before = measure::resident();
    let barrier = Barrier::new(THREADS + 1);
    std::thread::scope(|scope| {
        for one in 0..THREADS {
            let barrier = &barrier;
            // Small stacks: two hundred of the usual size would not fit under a limit on address space.
            let builder = std::thread::Builder::new().stack_size(128 * KIB);
            let thread = builder.spawn_scoped(scope, move || {
                let mut blocks = Table::<usize>::new(4096);
                let mut sizes = Table::<usize>::new(4096);
                let mut random = Random::new(one as u64);
                let (mut count, mut live) = (0, 0);
                while live < MIB && count < blocks.len() {
                    (blocks[count], sizes[count]) = get_sent(alloc, random.size(8 * KIB));
                    live += sizes[count];
                    count += 1;
                }
                for at in 0..count {
                    // SAFETY: got above, given up here.
                    unsafe { put_sent(alloc, (blocks[at], sizes[at])) };
                }
                drop((blocks, sizes));
                barrier.wait();
                barrier.wait();
            });
            thread.expect("a thread");
        }
        barrier.wait();
        let now = resident_over(before);
        barrier.wait();
        assert!(
            now <= bound,
            "{} KiB resident with {THREADS} idle threads, bound {} KiB",
            now / KIB,
            bound / KIB
        );
    });
}

/// More threads than there can be heaps, all at once. Each gets what it asks for, and what it frees of the one
/// before it serves others: round after round no more is needed.
pub fn many<A: GlobalAlloc + Sync>(alloc: &'static A, threads: usize) {
    const ROUNDS: usize = 200;
    const SIZES: [usize; 4] = [24, 300, 4000, 70_000];
    // Of what each thread has in a round, all of it at once; and the stacks, of which some pages are touched.
    let bound = threads * (64 * KIB + 2 * SIZES.iter().sum::<usize>()) + REST;
    let before = measure::resident();
    let (started, done) = (Barrier::new(threads), Barrier::new(threads));
    let handed: Vec<Mutex<Option<Sent>>> = (0..threads).map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        let spawn = |one: usize| {
            let (started, done, handed) = (&started, &done, &handed);
            let builder = std::thread::Builder::new().stack_size(32 * KIB);
            let thread = builder.spawn_scoped(scope, move || {
                started.wait();
                for round in 0..ROUNDS {
                    let sent = get_sent(alloc, SIZES[(one + round) % SIZES.len()]);
                    let neighbour = &handed[(one + round) % threads];
                    let before = neighbour.lock().expect("no thread fails").replace(sent);
                    if let Some(before) = before {
                        // SAFETY: whoever left it there gave it up.
                        unsafe { put_sent(alloc, before) };
                    }
                }
                done.wait();
            });
            thread.expect("a thread")
        };
        let running: Vec<_> = (0..threads).map(spawn).collect();
        // The scope alone waits for what they do, not for their end, when their heaps give back.
        running.into_iter().for_each(|thread| thread.join().expect("a thread"));
    });
    let now = resident_over(before);
    assert!(now <= bound, "{} KiB resident, bound {} KiB", now / KIB, bound / KIB);
    for sent in handed.into_iter().filter_map(|sent| sent.into_inner().expect("no thread fails")) {
        // SAFETY: whoever left it there gave it up.
        unsafe { put_sent(alloc, sent) };
    }
}
