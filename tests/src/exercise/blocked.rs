//! Somebody's reservation right above the break: an allocator has to grow elsewhere.

use std::alloc::GlobalAlloc;
use std::ptr::null_mut;

use nix::sys::resource::Resource;

use super::blocks::Blocks;
use super::{KIB, MIB, limits, number};
use crate::measure;
use crate::random::Random;
use crate::shadow;
use crate::table::Table;

pub fn main<A: GlobalAlloc + Sync>(alloc: &'static A, words: &[&str]) {
    let [reserved, rest @ ..] = words else { panic!("what is reserved?") };
    let _reservation = match *reserved {
        "all" => Reservation::of_all_above_the_break(),
        gib => Reservation::above_the_break(number(gib) << 30),
    };
    match rest {
        ["small", mib] => limits::kib_blocks(alloc, number(mib) * MIB),
        ["kinds"] => kinds(alloc),
        ["threads"] => shadow::storm(alloc, 4, 40_000, 11),
        ["limited"] => limits::refused(alloc, Resource::RLIMIT_AS),
        _ => panic!("no scenario of a blocked break {rest:?}"),
    }
}

/// What may stay: 8 MiB of free memory with the records of it, and what the thread has at hand of all classes.
const REST: usize = 10 * MIB;

/// Blocks of each kind, twice, and what stays of them.
fn kinds<A: GlobalAlloc>(alloc: &A) {
    let mut random = Random::new(12);
    let before = measure::resident();
    for kind in ["small", "spans", "large", "mixed"] {
        for _ in 0..2 {
            Blocks::take(alloc, kind, &mut random, 64 * MIB).free(alloc, &mut random);
            let after = measure::resident().saturating_sub(before);
            assert!(after <= REST, "{} KiB are resident after all {kind} blocks were freed", after / KIB);
        }
    }
}

/// Addresses that are taken and hold nothing.
pub struct Reservation(Table<*mut u8>, Table<usize>);

/// The longest part is of 2^46 bytes, the shortest a page of the smallest size there is.
const SHIFTS: std::ops::Range<u32> = 12..47;

impl Reservation {
    pub fn above_the_break(len: usize) -> Reservation {
        let mut reservation = Reservation::none();
        assert!(reservation.add(end_of_break(), len), "the addresses above the break are taken");
        reservation
    }

    /// Everything from the break up to the next mapping.
    pub fn of_all_above_the_break() -> Reservation {
        let mut reservation = Reservation::none();
        let mut at = end_of_break();
        // The room is some sum of powers of two: each that fits is a part of it.
        for len in SHIFTS.rev().map(|shift| 1 << shift).filter(|len| len % measure::page_size() == 0) {
            if reservation.add(at, len) {
                at += len;
            }
        }
        assert!(reservation.count() > 0, "the break is blocked by itself");
        reservation
    }

    /// Everything there is but for `left` bytes, and for what is smaller than a GiB.
    pub fn of_all_but(left: usize) -> Reservation {
        let mut reservation = Reservation::none();
        for len in SHIFTS.rev().map(|shift| 1 << shift).take_while(|len| *len >= 1 << 30) {
            while reservation.add(0, len) {}
        }
        let whole = reservation.1.iter().position(|len| *len > left).expect("a part that is long enough");
        // SAFETY: the end of what this reservation mapped, which nobody uses.
        unsafe { libc::munmap(reservation.0[whole].wrapping_add(reservation.1[whole] - left).cast(), left) };
        reservation.1[whole] -= left;
        reservation
    }

    fn none() -> Reservation {
        Reservation(Table::new(4096), Table::new(4096))
    }

    fn count(&self) -> usize {
        self.0.iter().take_while(|at| !at.is_null()).count()
    }

    /// Takes `len` bytes at an address, or anywhere. False where they are taken.
    fn add(&mut self, at: usize, len: usize) -> bool {
        let hint = if at == 0 { null_mut() } else { std::ptr::without_provenance_mut(at) };
        let there = if at == 0 { 0 } else { libc::MAP_FIXED_NOREPLACE };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | there;
        // SAFETY: replaces nothing.
        let got = unsafe { libc::mmap(hint, len, libc::PROT_NONE, flags, -1, 0) };
        if got == libc::MAP_FAILED {
            return false;
        }
        let count = self.count();
        (self.0[count], self.1[count]) = (got.cast(), len);
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for (at, len) in self.0.iter().zip(self.1.iter()).take(self.count()) {
            // SAFETY: mapped by `add`, used by nobody.
            unsafe { libc::munmap(at.cast(), *len) };
        }
    }
}

fn end_of_break() -> usize {
    measure::real_break().next_multiple_of(measure::page_size())
}
