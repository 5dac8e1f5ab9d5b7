//! A mapping at a multiple of more than a page.
#![allow(unsafe_code)]

use super::Os;
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
