//! A program that freed most of what it had, here and there: what stays of it.

use std::alloc::GlobalAlloc;
use std::sync::Barrier;

use super::c_api::malloc_trim;
use super::{KIB, MIB, get, put, touch};
use crate::measure;
use crate::random::Random;
use crate::table::Table;

/// What an allocator at rest may hold over the pages of live blocks: its tables, its heap, the slabs it works
/// with; more for each thread.
const REST: usize = MIB + 512 * KIB;
const REST_OF_THREAD: usize = 256 * KIB;
/// The records of slabs, whose blocks the program had: a hundredth of their bytes.
const RECORDS: usize = 100;

/// Free memory that the allocator may keep for reuse, beside.
const KEPT: usize = 7 * MIB;

/// Blocks of one size, by address.
struct Blocks {
    size: usize,
    at: Table<usize>,
    count: usize,
}

impl Blocks {
    fn fill<A: GlobalAlloc>(alloc: &A, size: usize, total: usize) -> Blocks {
        let mut blocks = Blocks { size, at: Table::new(total / size), count: total / size };
        for at in blocks.at.iter_mut() {
            let block = get(alloc, size);
            assert!(!block.is_null());
            // SAFETY: live and of this size.
            unsafe { touch(block, size) };
            *at = block.expose_provenance();
        }
        blocks
    }

    /// Frees all but those that `keep` says.
    fn thin_out<A: GlobalAlloc>(&mut self, alloc: &A, mut keep: impl FnMut(usize) -> bool) {
        let mut kept = 0;
        for at in 0..self.count {
            let block = self.at[at];
            if keep(at) {
                self.at[kept] = block;
                kept += 1;
            } else {
                // SAFETY: got by `fill`, and given up here.
                unsafe { put(alloc, std::ptr::with_exposed_provenance_mut(block), self.size) };
            }
        }
        self.count = kept;
    }

    /// Bytes of the pages that hold any of it.
    fn paged(&self) -> usize {
        self.paged_of(|_| true)
    }

    /// The same of some of it.
    fn paged_of(&self, which: impl Fn(usize) -> bool) -> usize {
        let page = measure::page_size();
        let mut pages = Table::<usize>::new((self.size / page + 2) * self.count + 1);
        let mut count = 0;
        for at in (0..self.count).filter(|&at| which(at)) {
            let block = self.at[at];
            for at in block / page..=(block + self.size - 1) / page {
                pages[count] = at;
                count += 1;
            }
        }
        let pages = &mut pages[..count];
        pages.sort_unstable();
        let distinct = pages.chunk_by(|one, next| one == next).count();
        distinct * page
    }

    fn table(&self) -> usize {
        self.at.len() * size_of::<usize>()
    }
}

fn check(name: &str, before: usize, bound: usize) {
    let now = measure::resident().saturating_sub(before);
    assert!(now <= bound, "{name}: {} KiB resident, bound {} KiB", now / KIB, bound / KIB);
}

/// Of blocks of a size, all but one in `every` are freed, in the order they came or those at random.
pub fn thinned<A: GlobalAlloc>(alloc: &A, size: usize, every: usize, how: &str) {
    const TOTAL: usize = 100 * MIB;
    let before = measure::resident();
    let mut blocks = Blocks::fill(alloc, size, TOTAL);
    let full = measure::resident() - before;
    assert!(full >= TOTAL, "only {} MiB were resident: this test measures nothing", full / MIB);
    let mut random = Random::new(size as u64);
    let at_random = how != "in-order";
    blocks.thin_out(alloc, |at| if at_random { random.below(every) == 0 } else { at % every == 0 });
    let must = blocks.paged() + blocks.table() + TOTAL / RECORDS;
    if how == "trimmed" {
        // SAFETY: gives back what nobody uses.
        let done = unsafe { malloc_trim(0) };
        assert_eq!(done, 1, "there was something to give back");
        check(how, before, must + REST);
    } else {
        // What came back since pages were last purged: a third of what is live, or blocks all over the
        // place, each of which may have been a page's last one.
        let since = if at_random { KEPT + must / 4 } else { blocks.count * size / 3 };
        check(how, before, must + since + REST);
    }
    blocks.thin_out(alloc, |_| false);
}

/// The same by several threads, each with its own blocks; or of which each frees the next one's.
pub fn by_threads<A: GlobalAlloc + Sync>(alloc: &'static A, size: usize, every: usize, whose: &str) {
    const THREADS: usize = 6;
    const EACH: usize = 24 * MIB;
    let before = measure::resident();
    let (filled, freed) = (Barrier::new(THREADS), Barrier::new(THREADS + 1));
    let taken = Barrier::new(THREADS);
    let all: Vec<_> = (0..THREADS).map(|_| std::sync::Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for one in 0..THREADS {
            let (filled, taken, freed, all) = (&filled, &taken, &freed, &all);
            scope.spawn(move || {
                let lock = |at: usize| all[at % THREADS].lock().expect("no thread fails");
                *lock(one) = Some(Blocks::fill(alloc, size, EACH));
                filled.wait();
                let mut blocks = lock(if whose == "others" { one + 1 } else { one }).take().expect("filled");
                taken.wait();
                blocks.thin_out(alloc, |at| at % every == 0);
                *lock(one) = Some(blocks);
                // Alive until it was looked at, and asleep.
                freed.wait();
                freed.wait();
            });
        }
        freed.wait();
        let must = |blocks: &Option<Blocks>| {
            let blocks = blocks.as_ref().expect("filled");
            blocks.paged() + blocks.table() + EACH / RECORDS + blocks.count * size / 3
        };
        let must: usize = all.iter().map(|blocks| must(&blocks.lock().expect("no thread fails"))).sum();
        check(whose, before, must + KEPT + REST + THREADS * REST_OF_THREAD);
        freed.wait();
    });
    for blocks in all {
        let blocks = blocks.into_inner().expect("no thread fails");
        blocks.expect("filled").thin_out(alloc, |_| false);
    }
}

/// Threads that sleep, each of which has freed some of the first thread's blocks: one of these keeps no more
/// than its pages, wherever it waits.
pub fn sleepers<A: GlobalAlloc + Sync>(alloc: &'static A, size: usize, every: usize) {
    const SLEEPERS: usize = 100;
    const EACH: usize = 120;
    let before = measure::resident();
    let mut blocks = Blocks::fill(alloc, size, SLEEPERS * EACH * every * size);
    let (freed, end) = (Barrier::new(SLEEPERS + 1), Barrier::new(SLEEPERS + 1));
    std::thread::scope(|scope| {
        for one in 0..SLEEPERS {
            let (freed, end, blocks) = (&freed, &end, &blocks.at[..]);
            let builder = std::thread::Builder::new().stack_size(128 * KIB);
            let sleeper = builder.spawn_scoped(scope, move || {
                for at in 0..EACH {
                    let block = blocks[(at * SLEEPERS + one) * every];
                    // SAFETY: the first thread leaves these to this one.
                    unsafe { put(alloc, std::ptr::with_exposed_provenance_mut(block), size) };
                }
                freed.wait();
                end.wait();
            });
            sleeper.expect("a thread");
        }
        freed.wait();
        let theirs = blocks.paged_of(|at| at % every == 0);
        for at in (0..blocks.count).filter(|at| at % every != 0) {
            let block = std::ptr::with_exposed_provenance_mut(blocks.at[at]);
            // SAFETY: got by `fill`, and given up here.
            unsafe { put(alloc, block, size) };
        }
        let records = blocks.count * size / RECORDS;
        check("sleepers", before, theirs + blocks.table() + records + KEPT + REST + SLEEPERS * 64 * KIB);
        blocks.count = 0;
        end.wait();
    });
}

/// Threads that sleep, each of which worked with every size in turn, and freed all of it.
pub fn idle<A: GlobalAlloc + Sync>(alloc: &'static A, bytes: usize) {
    const THREADS: usize = 60;
    let before = measure::resident();
    let (freed, end) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (freed, end) = (&freed, &end);
            let builder = std::thread::Builder::new().stack_size(128 * KIB);
            let thread = builder.spawn_scoped(scope, move || {
                let sizes = || {
                    let next = |size: &usize| Some(size + (size / 8).max(16));
                    std::iter::successors(Some(16), next).take_while(|&size| size < 32 * KIB)
                };
                for size in (0..3).flat_map(|_| sizes()) {
                    Blocks::fill(alloc, size, bytes.max(8 * size)).thin_out(alloc, |_| false);
                }
                freed.wait();
                end.wait();
            });
            thread.expect("a thread");
        }
        freed.wait();
        check("idle threads", before, THREADS * MIB);
        end.wait();
    });
}
