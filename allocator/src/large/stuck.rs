//! Mappings that the kernel would not unmap: no memory, but addresses, linked through their first bytes.
//!
//! Unmapping from the middle of what the kernel keeps as one mapping makes two of it, and their number is
//! limited (vm.max_map_count): a process at the limit cannot unmap. `free` cannot fail.

use super::Mapping;
use core::ptr::null_mut;

struct Node {
    next: *mut Node,
    len: usize,
}

pub struct Stuck {
    first: *mut Node,
}

impl Stuck {
    pub const fn new() -> Self {
        Stuck { first: null_mut() }
    }

    /// # Safety
    /// The mapping is nobody's, and nothing in it is needed.
    pub unsafe fn push(&mut self, mapping: Mapping) {
        let node: *mut Node = mapping.at.cast();
        // SAFETY: at least a page, and this list's from now on.
        unsafe { node.write(Node { next: self.first, len: mapping.len }) };
        self.first = node;
    }

    /// The one pushed last, if it has `len` bytes at a multiple of `align`. Its first bytes are not zero.
    pub fn pop(&mut self, len: usize, align: usize) -> Option<Mapping> {
        // SAFETY: the list's own nodes, written by `push`.
        let node = unsafe { self.first.as_ref() }?;
        let found = Mapping { at: self.first.cast(), len: node.len };
        if found.len < len || !found.at.addr().is_multiple_of(align) {
            return None;
        }
        self.first = node.next;
        Some(found)
    }
}
