//! What a request got.
#![forbid(unsafe_code)]

/// A block that is its caller's from now on, and what is known of its bytes.
pub struct Allocated {
    pub block: *mut u8,
    /// From how many bytes on it reads as zero: 0 where all of it does, `usize::MAX` where nothing is known.
    pub zeroed_from: usize,
}

impl Allocated {
    /// A block that reads as zero, or one of which nothing is known.
    #[inline]
    pub fn new(block: *mut u8, zeroed: bool) -> Allocated {
        Allocated { block, zeroed_from: if zeroed { 0 } else { usize::MAX } }
    }

    /// A block of which nothing is known.
    #[inline]
    pub fn unknown(block: *mut u8) -> Allocated {
        Allocated { block, zeroed_from: usize::MAX }
    }
}
