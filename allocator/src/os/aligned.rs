//! A mapping at a multiple of more than a page, or below an address.
#![allow(unsafe_code)]

use super::Os;
use crate::base::config::ADDRESSES;
use crate::base::units::round_up;
use crate::base::why::{Reason, Why};

/// A new mapping of `len` bytes, whole pages, at a multiple of `align`: mapped longer, and cut at both ends.
pub fn map_aligned<O: Os>(os: &O, len: usize, align: usize, why: Why) -> Option<*mut u8> {
    let page = os.page();
    if align <= page {
        return os.map(len, why);
    }
    let cut = Reason::Align.by(why.cause);
    let long = len.checked_add(align - page)?;
    let start = os.map(long, why)?;
    let skip = round_up(start.addr(), align)? - start.addr();
    let (at, behind) = (start.wrapping_add(skip), long - skip - len);
    // SAFETY: both ends are parts of the mapping made above. Where the kernel refuses to cut (its count
    // of mappings is full), the end stays mapped and untouched: address space, no memory.
    unsafe {
        if skip > 0 {
            os.unmap(start, skip, cut);
        }
        if behind > 0 {
            os.unmap(at.wrapping_add(len), behind, cut);
        }
    }
    Some(at)
}

/// The same below `ADDRESSES`.
pub fn map_below<O: Os>(os: &O, len: usize, align: usize, why: Why) -> Option<*mut u8> {
    let at = map_aligned(os, len, align, why)?;
    if is_below(at.addr(), len) {
        return Some(at);
    }
    // SAFETY: mapped above, and nobody knows of it.
    unsafe { os.unmap(at, len, Reason::Align.by(why.cause)) };
    map_low(os, len, why)
}

/// Whether a mapping is below `ADDRESSES` as a whole, and so is what comes right behind it.
pub fn is_below(at: usize, len: usize) -> bool {
    at.checked_add(len).is_some_and(|end| end < ADDRESSES)
}

/// Where low addresses are asked for by name: from this one downward, in steps of which each has an alignment
/// that is enough for all.
const LOW: usize = 1 << 46;
const LOW_STEP: usize = 1 << 36;
const LOW_TRIES: usize = 512;

/// A mapping at a low address. For kernels that put mappings above all that is told apart here though nobody
/// asked: some of riscv64's, where the processor has 57 bits of addresses.
#[cold]
pub fn map_low<O: Os>(os: &O, len: usize, why: Why) -> Option<*mut u8> {
    let step = round_up(len, LOW_STEP)?;
    let hints =
        (1..=LOW_TRIES).map_while(|at| LOW.checked_sub(at.checked_mul(step)?)).filter(|&hint| hint > 0);
    for hint in hints {
        let at = os.map_near(hint, len, why)?;
        if at.addr() == hint {
            return Some(at);
        }
        // SAFETY: mapped above, and nobody knows of it.
        unsafe { os.unmap(at, len, Reason::Align.by(why.cause)) };
    }
    None
}
