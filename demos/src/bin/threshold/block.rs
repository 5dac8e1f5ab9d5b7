//! A heap block in the hand: freed when dropped.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::ptr::NonNull;

use brkmap_base::error::Error;
use brkmap_demos::proof::frames::Frame;
use brkmap_witness::page_size;

/// Invariant: `start` is a live block of `layout`.
pub struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

impl Block {
    pub fn new(size: usize) -> Result<Block, Error> {
        let layout = Layout::from_size_align(size.max(1), 8).expect("8 is a power of two");
        // SAFETY: the layout has a size.
        let start = NonNull::new(unsafe { alloc(layout) });
        start
            .map(|start| Block { start, layout })
            .ok_or_else(|| Error::failed(format!("no {size} bytes to be had")))
    }

    pub fn resize(&mut self, size: usize) -> Result<(), Error> {
        // SAFETY: the invariant; the size is not 0.
        let start = NonNull::new(unsafe { realloc(self.start.as_ptr(), self.layout, size.max(1)) });
        self.start = start.ok_or_else(|| Error::failed(format!("no {size} bytes to be had")))?;
        self.layout = Layout::from_size_align(size.max(1), 8).expect("8 is a power of two");
        Ok(())
    }

    pub fn addr(&self) -> usize {
        self.start.as_ptr().addr()
    }

    /// The pages that the block lies in, the first and the last perhaps with others.
    pub fn pages(&self) -> impl Iterator<Item = usize> + use<> {
        let page = page_size();
        let (start, end) = (self.addr(), self.addr() + self.layout.size());
        (start / page * page..end).step_by(page)
    }

    pub fn frames(&self) -> Result<Vec<Frame>, Error> {
        self.pages().map(Frame::of).collect()
    }

    /// Writes a byte to every page.
    pub fn touch(&self) {
        for at in (0..self.layout.size()).step_by(page_size()).chain([self.layout.size() - 1]) {
            // SAFETY: inside the block. Volatile: the fault is what it is for.
            unsafe { self.start.as_ptr().add(at).write_volatile(at as u8) };
        }
    }

    /// Whether `touch`'s bytes are still there, of the first `size`.
    pub fn touched(&self, size: usize) -> bool {
        let offsets = (0..size.min(self.layout.size())).step_by(page_size());
        // SAFETY: inside the block, and written by `touch`.
        offsets.into_iter().all(|at| unsafe { self.start.as_ptr().add(at).read_volatile() } == at as u8)
    }

    /// Small pages for the block's own, whatever the system does by default.
    pub fn small_pages(&self) {
        let page = page_size();
        let (start, end) =
            (self.addr().next_multiple_of(page), (self.addr() + self.layout.size()) / page * page);
        let first = self.start.as_ptr().wrapping_add(start - self.addr());
        // SAFETY: whole pages inside the block; the advice changes no byte.
        unsafe { libc::madvise(first.cast(), end.saturating_sub(start), libc::MADV_NOHUGEPAGE) };
    }

    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Gives the block out of hand; it is freed by `from_raw`.
    pub fn into_raw(self) -> (NonNull<u8>, Layout) {
        let raw = (self.start, self.layout);
        std::mem::forget(self);
        raw
    }

    /// # Safety
    /// `start` and `layout` came from `into_raw`, and are not used again.
    pub unsafe fn from_raw(start: NonNull<u8>, layout: Layout) -> Block {
        Block { start, layout }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the invariant; nobody uses it after us.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}
