//! Units: a type for each kind of number, so that no bare `usize` between modules leaves its unit to guess.
#![forbid(unsafe_code)]

/// Index of a granule, counted from the arena's origin over all 48 bits of addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct GranuleIdx(pub u32);

/// A count of granules.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(transparent)]
pub struct Granules(pub u32);

/// A count of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(transparent)]
pub struct Bytes(pub usize);

impl From<GranuleIdx> for Granules {
    /// The granules below an index.
    fn from(index: GranuleIdx) -> Granules {
        Granules(index.0)
    }
}

/// Names a thread heap. 0 names none; see `HEAP_LIMIT` for the largest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct HeapId(pub u32);

/// Index of a size class; see the `size_class` module.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct SizeClass(pub u8);

/// `n` rounded up to a multiple of `unit`, a power of two. None on overflow.
#[inline]
pub const fn round_up(n: usize, unit: usize) -> Option<usize> {
    debug_assert!(unit.is_power_of_two());
    match n.checked_add(unit - 1) {
        Some(sum) => Some(sum & !(unit - 1)),
        None => None,
    }
}

/// Whether `n` is a multiple of `unit`, a power of two. No division, as below.
#[inline]
pub const fn is_multiple(n: usize, unit: usize) -> bool {
    debug_assert!(unit.is_power_of_two());
    n & (unit - 1) == 0
}

/// How many of `unit`, a power of two, hold `n`. No division, so nothing to divide by zero.
#[inline]
pub const fn div_up(n: usize, unit: usize) -> usize {
    let shift = unit.trailing_zeros();
    (n >> shift) + (n & (unit - 1) != 0) as usize
}

/// `n` rounded down to a multiple of `unit`, a power of two.
#[inline]
pub const fn round_down(n: usize, unit: usize) -> usize {
    debug_assert!(unit.is_power_of_two());
    n & !(unit - 1)
}

/// The word in whose memory two numbers lie one behind the other, whichever end a processor begins with.
#[inline(always)]
pub const fn side_by_side(first: u32, second: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// The numbers of such a word.
#[inline(always)]
pub const fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}

/// A run of granules that nobody else holds. Only the arena makes one, and takes it back.
///
/// It is neither Copy nor Clone, so that nobody gives it back twice.
#[must_use = "a run that is dropped is lost to the arena"]
#[derive(Debug)]
pub struct Run {
    pub head: GranuleIdx,
    pub len: Granules,
    /// Every page of it reads as zero. Where this is false, nothing is known.
    pub zeroed: bool,
}
