//! Constants with their reasons, and what can be set at run time.

use crate::size_class::{self, ByClass, CLASSES};
use crate::units::SizeClass;
use core::sync::atomic::{AtomicUsize, Ordering};

/// C's functions are defined in the Rust program that the crate is linked into.
pub const OVERRIDE: bool = cfg!(feature = "override");

/// A granule: the unit of the arena and the length of a slab.
pub const GRANULE_SHIFT: u32 = 16;
pub const GRANULE: usize = 1 << GRANULE_SHIFT;

/// Granules of a block: the stretch of addresses whose tables come and go together (64 MiB).
pub const BLOCK_GRANULES: u32 = 1 << 10;

/// Bytes of addresses that the first window shows, and the longest: their maps take 256 KiB and 32 MiB.
pub const WINDOW_FIRST: usize = 4 << 30;
pub const WINDOW_MAX: usize = 512 << 30;

/// Bytes of addresses above the break that the first region leaves free, by the break's owner: for those who
/// may move it later. Another malloc may come to have as much there.
pub const ROOM_ABOVE: [usize; 3] = [1 << 30, 64 << 30, 0];

/// Thread heaps that can exist at once, parked ones included.
pub const HEAP_LIMIT: u32 = 1 << 14;

/// First step by which the break moves, and the largest: doubling keeps the number of calls
/// logarithmic, and the cap keeps `mlockall(MCL_FUTURE)` from filling what nobody asked for.
pub const GROW_FIRST: usize = 1 << 20;
pub const GROW_MAX: usize = 64 << 20;

/// Requests of this many bytes or more are mappings of their own: glibc's M_MMAP_THRESHOLD.
pub const MMAP_THRESHOLD: usize = 128 * 1024;
/// Bounds of what M_MMAP_THRESHOLD may be set to: below, the classes of the Rust front's inlined
/// path; above, glibc's HEAP_MAX_SIZE / 2.
pub const MMAP_THRESHOLD_MIN: usize = size_class::STEP_MAX + 1;
pub const MMAP_THRESHOLD_MAX: usize = 32 << 20;

/// No process has as many bytes of addresses unless it asks for a high one: x86-64 has 2^47, aarch64 up to
/// 2^48.
pub const ADDRESSES: usize = 1 << 48;

/// Dirty memory that is always allowed to stay (7 MiB: as much as leaves a freed process within the
/// promised 8), and the share of live memory beyond it (a shift: 3 is 12.5 %).
pub const DIRTY_FLOOR: usize = 7 << 20;
pub const DIRTY_SHIFT: u32 = 3;

pub const HUGE_PAGE: usize = 2 << 20;

/// A free run at the top of the break is given back by lowering the break from this size on.
pub const TRIM_MIN: usize = 1 << 20;

/// Bytes of blocks that a magazine of a class holds at most, and its bounds in blocks. When it is full the
/// older half goes home, when it is empty half of it is filled.
pub const MAGAZINE_BYTES: usize = 32 * 1024;
pub const MAGAZINE_MAX: u32 = 2048;
pub const MAGAZINE_MIN: u32 = 4;
/// What a magazine holds at first: it doubles each time it was empty or full.
pub const MAGAZINE_FIRST: u32 = 15;
/// To how many blocks frees alone let it grow, without a refill: those of a thread that only frees pin
/// slabs of others when it falls asleep, and more of them save it little.
pub const MAGAZINE_FREED: u32 = 128;

/// The first class whose blocks go home at once when another heap's thread frees them, rather than to that
/// thread's magazine: what fills them is in the caches of the thread that got them.
pub const HOMING: SizeClass = size_class::of(4096);

/// Bytes waiting in an inbox from which on the sender tries to sort them for a sleeping owner.
pub const INBOX_STEAL: usize = 256 * 1024;

/// Bytes of parcels that a heap keeps as they came before it hands their blocks to the slabs.
pub const DEPOT_BYTES: usize = 256 * 1024;

/// A heap with more slab bytes than this and under a quarter of them in use stops caching frees, so
/// that single cached blocks do not pin whole slabs.
pub const SPARSE_BYTES: usize = 2 << 20;

/// The most blocks a magazine of each class holds.
pub const MAGAZINE_CAP: ByClass<u16> = {
    let mut caps = [0u16; 256];
    let mut c = 0;
    while c < CLASSES {
        let mut cap = (MAGAZINE_BYTES / size_class::bytes(SizeClass(c as u8))) as u32;
        if cap > MAGAZINE_MAX {
            cap = MAGAZINE_MAX;
        }
        if cap < MAGAZINE_MIN {
            cap = MAGAZINE_MIN;
        }
        caps[c] = cap as u16;
        c += 1;
    }
    caps
};

const _: () = assert!(cfg!(target_endian = "little"), "words of two halves are read as these");
const _: () = assert!(GROW_FIRST.is_multiple_of(GRANULE) && GROW_MAX.is_multiple_of(GRANULE));
const _: () = assert!(GROW_MAX <= (BLOCK_GRANULES as usize) << GRANULE_SHIFT);
const _: () = assert!(size_class::CLASS_MAX <= GRANULE);

/// What can be set while the program runs.
pub struct Tunables {
    mmap_threshold: AtomicUsize,
}

impl Tunables {
    pub const fn new() -> Self {
        Tunables { mmap_threshold: AtomicUsize::new(MMAP_THRESHOLD) }
    }

    /// In bytes. Relaxed: the value stands alone, nothing is published by it.
    #[inline]
    pub fn mmap_threshold(&self) -> usize {
        self.mmap_threshold.load(Ordering::Relaxed)
    }

    /// False, and nothing changed, where `bytes` is above `MMAP_THRESHOLD_MAX`; values below
    /// `MMAP_THRESHOLD_MIN` count as that.
    pub fn set_mmap_threshold(&self, bytes: usize) -> bool {
        if bytes > MMAP_THRESHOLD_MAX {
            return false;
        }
        self.mmap_threshold.store(bytes.max(MMAP_THRESHOLD_MIN), Ordering::Relaxed);
        true
    }
}

/// The value of `NAME=value` as a count of bytes: decimal digits, or hexadecimal behind `0x`.
pub fn parse_bytes(text: &[u8]) -> Option<usize> {
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (rest, 16),
        _ => (text, 10),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0usize, |sum, &byte| {
        let digit = (byte as char).to_digit(radix)? as usize;
        sum.checked_mul(radix as usize)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threshold_takes_what_glibc_takes_and_refuses_the_rest() {
        let tunables = Tunables::new();
        assert_eq!(tunables.mmap_threshold(), 128 * 1024);
        assert!(tunables.set_mmap_threshold(1 << 20));
        assert_eq!(tunables.mmap_threshold(), 1 << 20);
        assert!(!tunables.set_mmap_threshold(MMAP_THRESHOLD_MAX + 1));
        assert_eq!(tunables.mmap_threshold(), 1 << 20);
        assert!(tunables.set_mmap_threshold(0));
        assert_eq!(tunables.mmap_threshold(), MMAP_THRESHOLD_MIN);
    }

    #[test]
    fn bytes_are_read_in_decimal_and_hexadecimal() {
        assert_eq!(parse_bytes(b"131072"), Some(131072));
        assert_eq!(parse_bytes(b"0x20000"), Some(131072));
        for bad in [&b""[..], b"0x", b"12k", b"-1", b"99999999999999999999999"] {
            assert_eq!(parse_bytes(bad), None, "{bad:?}");
        }
    }
}
