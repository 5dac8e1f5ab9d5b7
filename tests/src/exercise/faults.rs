//! The k-th memory call of a kind fails, or all from the k-th on, with every error: requests then fail with
//! ENOMEM or not at all, nothing is corrupted, and once the fault is gone everything works again.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{KIB, MIB, end_swing, get, put};
use crate::random::Random;
use crate::shadow::{self, Block};
use crate::table::Table;
use crate::{fault, measure, soak};

/// What a kernel, a limit or a filter says. 0 is brk's own way.
const ERRORS: [i32; 5] = [libc::ENOMEM, libc::EAGAIN, libc::EPERM, libc::EINVAL, libc::ENOSYS];

/// The last k of faults that stay, and of single ones. The loop ends before where no call came so far.
const MOST_LASTING: usize = 6;
fn most_single() -> usize {
    soak::rounds(2 * ERRORS.len(), 24)
}
const MISSES: usize = 4;

/// Bytes of spans in a round, untouched: enough for the arena to grow several times.
const SPAN: usize = 120 * KIB;
const SPANS: usize = 300;
/// Spans by which a round is larger than the one before, where the arena is to grow further each time.
const SPANS_MORE: usize = 600;
const SPANS_MOST: usize = 10 * SPANS_MORE;

struct Round<'a, A> {
    alloc: &'a A,
    blocks: Vec<Block>,
    spans: Table<*mut u8>,
    spans_used: usize,
    random: Random,
}

impl<'a, A: GlobalAlloc> Round<'a, A> {
    fn new(alloc: &'a A) -> Self {
        Round {
            alloc,
            blocks: Vec::with_capacity(250),
            spans: Table::new(SPANS_MOST),
            spans_used: SPANS,
            random: Random::new(3),
        }
    }

    /// Requests of every kind, resized and given back. How many were refused.
    fn run(&mut self) -> usize {
        let mut refused = 0;
        for at in 0..250 {
            let size = match at % 25 {
                0 => 400 * KIB,
                1 | 2 => 140 * KIB,
                3..=6 => 50 * KIB,
                7..=12 => 5 * KIB,
                _ => 16 + at,
            };
            let layout = Layout::from_size_align(size, 16).expect("sizes here are small");
            set_errno(0);
            match Block::new(self.alloc, layout, 1, at % 3 == 0) {
                Some(block) => self.blocks.push(block),
                None => refused += refusal(),
            }
        }
        for span in self.spans[..self.spans_used].iter_mut() {
            set_errno(0);
            *span = get(self.alloc, SPAN);
            if span.is_null() {
                refused += refusal();
            }
        }
        for at in 0..self.blocks.len() {
            if at % 6 == 0 {
                let size = [300 * KIB, 40 * KIB, 900 * KIB, 100][at / 6 % 4];
                set_errno(0);
                if !self.blocks[at].resize(self.alloc, size) {
                    refused += refusal();
                }
            }
        }
        self.random.shuffle(&mut self.blocks);
        for block in self.blocks.drain(..) {
            block.free(self.alloc);
        }
        for span in self.spans.iter_mut().filter(|span| !span.is_null()) {
            // SAFETY: got above, given up here.
            unsafe { put(self.alloc, *span, SPAN) };
            *span = std::ptr::null_mut();
        }
        refused
    }
}

fn set_errno(errno: i32) {
    // SAFETY: this thread's own errno.
    unsafe { *libc::__errno_location() = errno };
}

/// One refusal, which must say ENOMEM.
fn refusal() -> usize {
    // SAFETY: this thread's own errno.
    let errno = unsafe { *libc::__errno_location() };
    assert_eq!(errno, libc::ENOMEM, "a refused request with another errno");
    1
}

/// One thread. Prints how many calls failed.
pub fn single<A: GlobalAlloc + Sync>(alloc: &'static A, call: &str) {
    let mut round = Round::new(alloc);
    fault::install();
    assert_eq!(round.run(), 0, "refused without a fault");
    let (resident, address_space) = (measure::resident(), measure::address_space());
    let mut failed = 0;
    for (count, most) in [(1, most_single()), (usize::MAX, MOST_LASTING)] {
        let mut misses = 0;
        for k in 0..most {
            // The break moves only where a round needs more than those before.
            if matches!(call, "mprotect" | "brk") {
                round.spans_used = (round.spans_used + SPANS_MORE).min(SPANS_MOST);
            }
            let errno = if call == "brk" && k % 2 == 0 { 0 } else { ERRORS[k / 2 % ERRORS.len()] };
            fault::arm(call, k, count, errno);
            let refused = round.run();
            let hit = fault::disarm();
            failed += hit;
            let after = round.run();
            assert_eq!(
                after, 0,
                "{call} {k} ({count} failed, errno {errno}): {after} requests refused afterwards"
            );
            assert!(
                hit > 0 || refused == 0,
                "{call} {k}: {refused} requests refused, and nothing had failed"
            );
            misses = if hit == 0 { misses + 1 } else { 0 };
            if misses == MISSES {
                break;
            }
        }
    }
    // What could not be given back at the time was later. The rounds themselves are a swing.
    end_swing(alloc);
    let (kept, mapped) = (
        measure::resident().saturating_sub(resident),
        measure::address_space().saturating_sub(address_space),
    );
    assert!(kept <= 8 * MIB, "{} KiB more are resident than before the faults", kept / KIB);
    // Addresses below a last few dirty pages stay the arena's: no memory.
    let spans = round.spans_used * SPAN;
    assert!(mapped <= spans + 256 * MIB, "{} MiB more are mapped than before the faults", mapped / MIB);
    println!("{failed}");
}

/// A fault in the first round of a process, while the arena grows. Prints how many calls failed.
pub fn first<A: GlobalAlloc + Sync>(alloc: &'static A, call: &str, k: usize, count: usize, errno: i32) {
    let mut round = Round::new(alloc);
    fault::install();
    fault::arm(call, k, count, errno);
    round.run();
    let failed = fault::disarm();
    assert_eq!(round.run(), 0, "{call} {k} ({count} failed, errno {errno}): refused afterwards");
    println!("{failed}");
}

/// Several threads, with faults that come and go under them. Prints how many calls failed.
pub fn threads<A: GlobalAlloc + Sync>(alloc: &'static A) {
    const THREADS: usize = 3;
    static READY: AtomicUsize = AtomicUsize::new(0);
    static STOP: AtomicBool = AtomicBool::new(false);
    fault::install();
    let mut failed = 0;
    // Threads come and go before and after the faults only: theirs are other people's calls.
    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            scope.spawn(move || {
                let mut round = Round {
                    alloc,
                    blocks: Vec::with_capacity(250),
                    spans: Table::new(SPANS),
                    spans_used: SPANS / 4,
                    random: Random::new(seed as u64),
                };
                READY.fetch_add(1, Ordering::Release);
                while !STOP.load(Ordering::Acquire) {
                    round.run();
                }
                assert_eq!(round.run(), 0, "refused after the faults");
            });
        }
        while READY.load(Ordering::Acquire) < THREADS {
            std::thread::yield_now();
        }
        let mut random = Random::new(9);
        for turn in 0..120 {
            let call = fault::nth_call(turn);
            let count = if turn % 4 == 0 { usize::MAX } else { random.below(4) + 1 };
            fault::arm(call, random.below(3), count, ERRORS[random.below(ERRORS.len())]);
            // SAFETY: sleeps.
            unsafe { libc::usleep(20_000) };
            failed += fault::disarm();
        }
        STOP.store(true, Ordering::Release);
    });
    shadow::storm(alloc, 3, 5000, 8);
    println!("{failed}");
}
