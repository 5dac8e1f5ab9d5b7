//! The list of mappings that the kernel refused to unmap. Their pages are gone, but their addresses stay.
//! They are linked through their first bytes.
//!
//! To unmap the middle of a mapping makes two of it, and a process may have only so many (vm.max_map_count).
//! At the limit `munmap` fails, and `free` must not.
#![allow(unsafe_code)]

use super::mapping::Mapping;
use crate::base::units::is_multiple;
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

    pub fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Adds a mapping.
    ///
    /// # Safety
    /// The mapping is nobody's, and nothing in it is needed.
    pub unsafe fn push(&mut self, mapping: Mapping) {
        let node: *mut Node = mapping.at.cast();
        // SAFETY: at least a page, and this list's from now on.
        unsafe { node.write(Node { next: self.first, len: mapping.len }) };
        self.first = node;
    }

    /// Takes the mapping that was pushed last, if it has `len` bytes at a multiple of `align`. Its first
    /// bytes are not zero.
    pub fn pop(&mut self, len: usize, align: usize) -> Option<Mapping> {
        // SAFETY: the list's own nodes, written by `push`.
        let node = unsafe { self.first.as_ref() }?;
        let found = Mapping { at: self.first.cast(), len: node.len };
        if found.len < len || !is_multiple(found.at.addr(), align) {
            return None;
        }
        self.first = node.next;
        Some(found)
    }
}
