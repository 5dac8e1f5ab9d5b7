//! A heap of one's own, for Rust programs.
#![allow(unsafe_code)]

pub mod shared;

use crate::allocator::zeroed;
use crate::front::rust::StdWord;
use crate::process::zones;
use crate::zone::Zone;
use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

/// A heap of one's own: its blocks are apart from all others, and go at once when it is dropped.
///
/// ```
/// use brkmap::Heap;
/// use std::alloc::Layout;
///
/// let heap = Heap::with_limit(64 << 20);
/// let layout = Layout::new::<[u64; 4]>();
/// for number in 0..1000 {
///     let block = heap.alloc(layout).expect("32 KiB are below the limit");
///     // SAFETY: the block is new, and has room for four numbers.
///     unsafe { block.cast::<[u64; 4]>().write([number; 4]) };
/// }
/// assert_eq!((heap.figures().blocks, heap.figures().bytes), (1000, 32_000));
/// drop(heap); // All thousand blocks at once.
/// ```
///
/// It needs neither brkmap nor any other allocator as the global one. Threads may share it, and each may free
/// what another allocated; they take turns at one lock. A child of a fork has it as it was.
///
/// With the feature `allocator-api2` or `allocator-api`, `&Heap` is where a `Vec`, a `Box` or a map has its
/// memory: see [BrkMap](crate::BrkMap#an-allocator-for-collections).
///
/// A heap takes 4 MiB of addresses at once, of which it touches three pages (where huge pages are always on,
/// one of these), and gives pages back that are free by more than 1 MiB, or an eighth of its blocks. One
/// block pins its slab of 64 KiB.
///
/// # Blocks stay with their heap
///
/// A block goes back to the heap it is of, by [dealloc](Heap::dealloc) with the layout it has. The heap ends
/// the program, with the pointer named, where that is seen to be wrong: a block of another allocator's or
/// another heap's, a layout of another class or size, a block that is free. C's `free` and the slow paths of
/// the global allocator refuse a heap's block likewise; where the fast one takes it (it looks at the layout
/// alone) the block is its until the heap is dropped.
pub struct Heap {
    /// None where there was no memory for one: it has no blocks then.
    zone: Option<NonNull<Zone>>,
    limit: usize,
}

// SAFETY: a zone is for all threads: one lock guards it.
unsafe impl Send for Heap {}
// SAFETY: as above.
unsafe impl Sync for Heap {}

/// How much memory a [Heap] has.
///
/// ```
/// let heap = brkmap::Heap::new();
/// let block = heap.alloc(std::alloc::Layout::new::<[u8; 100]>());
/// assert!(block.is_some());
/// assert_eq!(heap.figures().bytes, 112, "the class of 100 bytes");
/// assert!(heap.figures().mapped >= heap.figures().bytes);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapFigures {
    /// Bytes of the blocks that are out: up to 32 KiB each has the size of its class, a longer one whole
    /// pages. The limit is about these.
    pub bytes: usize,
    /// Blocks that are out.
    pub blocks: usize,
    /// Bytes of addresses that the heap has mapped, its free parts and its tables included.
    pub mapped: usize,
}

impl Heap {
    /// A heap without a limit. Where there is no memory even for its tables, it has no blocks to give.
    ///
    /// ```
    /// let heap = brkmap::Heap::new();
    /// assert!(heap.alloc(std::alloc::Layout::new::<u64>()).is_some());
    /// ```
    pub fn new() -> Heap {
        Heap::with_limit(usize::MAX)
    }

    /// A heap whose blocks have at most `limit` bytes together, counted as [HeapFigures::bytes] is.
    ///
    /// ```
    /// # use std::alloc::Layout;
    /// let heap = brkmap::Heap::with_limit(1 << 20);
    /// assert!(heap.alloc(Layout::new::<[u8; 2 << 20]>()).is_none());
    /// assert!(heap.alloc(Layout::new::<[u8; 1 << 19]>()).is_some());
    /// ```
    pub fn with_limit(limit: usize) -> Heap {
        Heap { zone: zones::make::<StdWord>(limit), limit }
    }

    fn zone(&self) -> Option<&Zone> {
        // SAFETY: a zone stays until its heap is dropped.
        self.zone.map(|zone| unsafe { zone.as_ref() })
    }

    /// A block for `layout`, of any alignment; its contents are undefined. For no bytes it is a dangling
    /// pointer, and the heap keeps nothing.
    ///
    /// None beyond the limit, and where the kernel has no memory or addresses.
    ///
    /// ```
    /// # use std::alloc::Layout;
    /// let heap = brkmap::Heap::new();
    /// let layout = Layout::from_size_align(5000, 2 << 20)?;
    /// let block = heap.alloc(layout).expect("a block of 5000 bytes");
    /// assert!(block.addr().get().is_multiple_of(2 << 20));
    /// # Ok::<(), std::alloc::LayoutError>(())
    /// ```
    pub fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return dangling(layout);
        }
        NonNull::new(zones::alloc::<StdWord>(self.zone()?, layout)?.block)
    }

    /// As [alloc](Heap::alloc), and the block is zero.
    ///
    /// ```
    /// # use std::alloc::Layout;
    /// let heap = brkmap::Heap::new();
    /// let block = heap.alloc_zeroed(Layout::new::<[u32; 100]>()).expect("400 bytes");
    /// // SAFETY: the heap's block is 400 bytes of zeros.
    /// assert_eq!(unsafe { block.cast::<[u32; 100]>().read() }, [0; 100]);
    /// ```
    pub fn alloc_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return dangling(layout);
        }
        NonNull::new(zeroed(zones::alloc::<StdWord>(self.zone()?, layout), layout.size()))
    }

    /// Gives a block back. For a layout of no bytes nothing happens.
    ///
    /// # Safety
    /// `block` is a block of this heap, allocated for `layout` or resized to it. Nobody uses it from here on.
    ///
    /// ```
    /// # use std::alloc::Layout;
    /// let heap = brkmap::Heap::new();
    /// let block = heap.alloc(Layout::new::<u64>()).expect("8 bytes");
    /// // SAFETY: the block is of this heap and this layout, and is not used any more.
    /// unsafe { heap.dealloc(block, Layout::new::<u64>()) };
    /// assert_eq!(heap.figures().blocks, 0);
    /// ```
    pub unsafe fn dealloc(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        if let Some(zone) = self.zone() {
            // SAFETY: as the caller vouches.
            unsafe { zones::dealloc::<StdWord>(zone, block.as_ptr(), layout) };
        }
    }

    /// Gives a block another size, where it is or by a copy. Its contents stay, as far as both sizes reach.
    /// The limit is asked about the difference only.
    ///
    /// None beyond the limit, and where there is no memory: the block is then as it was.
    ///
    /// # Safety
    /// As for [dealloc](Heap::dealloc); where a block is returned it is used in the old one's stead, and its
    /// layout is that of `size` bytes at the same alignment.
    ///
    /// ```
    /// # use std::alloc::Layout;
    /// let heap = brkmap::Heap::new();
    /// let layout = Layout::array::<u8>(100)?;
    /// let block = heap.alloc_zeroed(layout).expect("100 bytes");
    /// // SAFETY: the block is of this heap and this layout.
    /// let block = unsafe { heap.realloc(block, layout, 5 << 20) }.expect("5 MiB");
    /// // SAFETY: it is 5 MiB long now, and begins with the 100 zeros.
    /// assert_eq!(unsafe { block.add(99).read() }, 0);
    /// # Ok::<(), std::alloc::LayoutError>(())
    /// ```
    pub unsafe fn realloc(&self, block: NonNull<u8>, layout: Layout, size: usize) -> Option<NonNull<u8>> {
        let wanted = Layout::from_size_align(size, layout.align()).ok()?;
        if layout.size() == 0 {
            return self.alloc(wanted);
        }
        if size == 0 {
            // SAFETY: as the caller vouches.
            unsafe { self.dealloc(block, layout) };
            return dangling(wanted);
        }
        // SAFETY: as the caller vouches.
        let moved = unsafe { zones::realloc::<StdWord>(self.zone()?, block.as_ptr(), layout, size) };
        NonNull::new(moved?)
    }

    /// How much memory it has. In a child of a fork too, whatever other threads were doing.
    ///
    /// ```
    /// let heap = brkmap::Heap::new();
    /// assert_eq!(heap.figures().blocks, 0);
    /// ```
    pub fn figures(&self) -> HeapFigures {
        let figures = self.zone().map(zones::figures::<StdWord>).unwrap_or_default();
        HeapFigures { bytes: figures.bytes, blocks: figures.blocks, mapped: figures.mapped }
    }

    /// How many bytes its blocks may have together.
    ///
    /// ```
    /// assert_eq!(brkmap::Heap::with_limit(1 << 20).limit(), 1 << 20);
    /// ```
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl Default for Heap {
    fn default() -> Heap {
        Heap::new()
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        if let Some(zone) = self.zone {
            // SAFETY: its blocks borrow it, or their holders vouched that they would not outlive it.
            unsafe { zones::unmake::<StdWord>(zone) };
        }
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("figures", &self.figures()).field("limit", &self.limit).finish()
    }
}

/// What stands for a block of no bytes.
fn dangling(layout: Layout) -> Option<NonNull<u8>> {
    NonNull::new(core::ptr::without_provenance_mut(layout.align()))
}
