//! What a request got.
#![forbid(unsafe_code)]

/// `zeroed_from` of a block of whose bytes nothing is known.
pub const UNKNOWN: usize = usize::MAX;

/// A block that is its caller's from now on, and what is known of its bytes.
pub struct Allocated {
    pub block: *mut u8,
    /// From how many bytes on it reads as zero: 0 where all of it does, `UNKNOWN` where nothing is known.
    pub zeroed_from: usize,
}

impl Allocated {
    /// A block of which nothing is known.
    #[inline]
    pub fn unknown(block: *mut u8) -> Allocated {
        Allocated { block, zeroed_from: UNKNOWN }
    }
}
