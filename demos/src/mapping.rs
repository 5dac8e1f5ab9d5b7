//! Mappings as owned values, named by what you may do with them; dropping one unmaps it.
//!
//! ```text
//!   type              backed by   write?   others see it?   the file keeps it?
//!   FileView          a file      no       -                -
//!   SharedFile        a file      yes      yes              yes
//!   PrivateFile       a file      yes      no (copy)        no
//!   SharedAnonymous   nothing     yes      our children     -
//!   PrivateAnonymous  nothing     yes      no (copy)        -
//! ```
//!
//! Other processes may change shared bytes at any time, so all access goes through relaxed atomics:
//! a torn message is the program's affair, but it is never undefined behaviour.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use nix::sys::mman::{
    MRemapFlags, MapFlags, MmapAdvise, MsFlags, ProtFlags, madvise, mmap, mmap_anonymous, mremap, msync,
    munmap,
};

use brkmap_base::error::{During, Error};
use brkmap_witness::page_size;

/// Addresses that are ours alone to unmap.
///
/// Invariant: `start .. start + len` was returned by mmap or mremap and is mapped until drop.
#[derive(Debug)]
pub struct Area {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: an Area is a range of addresses; every access through it is atomic.
unsafe impl Send for Area {}
// SAFETY: as above.
unsafe impl Sync for Area {}

impl Area {
    fn map(
        len: usize,
        prot: ProtFlags,
        flags: MapFlags,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<Area, Error> {
        let size = NonZeroUsize::new(len).ok_or_else(|| Error::usage("a mapping needs at least one byte"))?;
        let start = match file {
            // SAFETY: without MAP_FIXED the kernel picks addresses nobody has.
            Some(fd) => unsafe { mmap(None, size, prot, flags, fd, 0) },
            // SAFETY: as above.
            None => unsafe { mmap_anonymous(None, size, prot, flags) },
        }
        .during("map the area")?;
        Ok(Area { start: start.cast(), len })
    }

    fn resize(&mut self, len: usize) -> Result<(), Error> {
        // SAFETY: the old range is ours, and `&mut self` means that no reference into it is left.
        let moved = unsafe { mremap(self.start.cast(), self.len, len, MRemapFlags::MREMAP_MAYMOVE, None) }
            .during("grow the mapping")?;
        self.start = moved.cast();
        self.len = len;
        Ok(())
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: Area's invariant: the range is ours, and nothing borrowed from it outlives us.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}

/// What every mapping can do.
pub trait Mapping {
    fn area(&self) -> &Area;

    fn addr(&self) -> usize {
        self.area().start.as_ptr().addr()
    }

    fn len(&self) -> usize {
        self.area().len
    }

    fn is_empty(&self) -> bool {
        false
    }

    /// The address of the page that holds `offset`.
    fn page_at(&self, offset: usize) -> usize {
        self.addr() + offset / page_size() * page_size()
    }

    fn cell(&self, offset: usize) -> &AtomicU8 {
        // The last page is mapped whole, and what lies behind the end is part of the show.
        assert!(offset < self.len().next_multiple_of(page_size()), "offset {offset} is beyond the mapping");
        // SAFETY: in the mapped range by the line above; a byte is always aligned.
        unsafe { AtomicU8::from_ptr(self.area().start.as_ptr().add(offset)) }
    }

    fn load(&self, offset: usize) -> u8 {
        self.cell(offset).load(Relaxed)
    }

    /// Copies out, eight bytes at a time where they are aligned.
    fn copy_out(&self, offset: usize, into: &mut [u8]) {
        let mut done = 0;
        while done < into.len() {
            let at = offset + done;
            if at.is_multiple_of(8) && into.len() - done >= 8 && at + 8 <= self.len() {
                into[done..done + 8].copy_from_slice(&word64(self.area(), at).load(Relaxed).to_ne_bytes());
                done += 8;
            } else {
                into[done] = self.load(at);
                done += 1;
            }
        }
    }

    fn advise(&self, advice: MmapAdvise) -> Result<(), Error> {
        // SAFETY: the range is ours. The advice used here moves no bytes but MADV_DONTNEED's, and
        // atomics that read zero afterwards are still valid.
        unsafe { madvise(self.area().start.cast(), self.len(), advice) }.during("give advice on the mapping")
    }
}

/// What a mapping with PROT_WRITE can do besides.
pub trait Writable: Mapping {
    fn store(&self, offset: usize, byte: u8) {
        self.cell(offset).store(byte, Relaxed);
    }

    fn copy_in(&self, offset: usize, from: &[u8]) {
        let mut done = 0;
        while done < from.len() {
            let at = offset + done;
            match from[done..].first_chunk::<8>() {
                Some(chunk) if at.is_multiple_of(8) && at + 8 <= self.len() => {
                    word64(self.area(), at).store(u64::from_ne_bytes(*chunk), Relaxed);
                    done += 8;
                }
                _ => {
                    self.store(at, from[done]);
                    done += 1;
                }
            }
        }
    }
}

fn word64(area: &Area, offset: usize) -> &AtomicU64 {
    assert!(offset.is_multiple_of(8) && offset + 8 <= area.len);
    // SAFETY: inside the area by the assertion, and aligned since mappings start at a page.
    unsafe { AtomicU64::from_ptr(area.start.as_ptr().add(offset).cast()) }
}

/// A word of shared memory, to synchronise on.
pub fn word32<M: Writable>(mapping: &M, offset: usize) -> &AtomicU32 {
    assert!(offset.is_multiple_of(4) && offset + 4 <= mapping.len());
    // SAFETY: inside the area by the assertion, and aligned since mappings start at a page.
    unsafe { AtomicU32::from_ptr(mapping.area().start.as_ptr().add(offset).cast()) }
}

/// A file, to look at: PROT_READ, MAP_SHARED.
#[derive(Debug)]
pub struct FileView(Area);

impl FileView {
    pub fn map(file: &File, len: usize) -> Result<FileView, Error> {
        FileView::with(file, len, MapFlags::empty())
    }

    /// All its page table entries are made by the call itself.
    pub fn populated(file: &File, len: usize) -> Result<FileView, Error> {
        FileView::with(file, len, MapFlags::MAP_POPULATE)
    }

    fn with(file: &File, len: usize, more: MapFlags) -> Result<FileView, Error> {
        let flags = MapFlags::MAP_SHARED | more;
        Area::map(len, ProtFlags::PROT_READ, flags, Some(file.as_fd())).map(FileView)
    }

    /// The bytes as a slice, for work that is measured.
    ///
    /// # Safety
    /// Nobody changes or truncates the file while the slice lives.
    pub unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: mapped and readable by Area's invariant; unchanging by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr(), self.0.len) }
    }
}

/// A file, to change: PROT_READ|PROT_WRITE, MAP_SHARED.
#[derive(Debug)]
pub struct SharedFile(Area);

impl SharedFile {
    pub fn map(file: &File, len: usize) -> Result<SharedFile, Error> {
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        Area::map(len, prot, MapFlags::MAP_SHARED, Some(file.as_fd())).map(SharedFile)
    }

    /// Returns when the bytes `offset .. offset + len` are on the disk (MS_SYNC).
    pub fn sync(&self, offset: usize, len: usize) -> Result<(), Error> {
        let first = offset / page_size() * page_size();
        let size = offset + len - first;
        assert!(first + size <= self.0.len.next_multiple_of(page_size()));
        // SAFETY: the range is inside the area by the line above; msync changes no byte.
        unsafe { msync(self.0.start.add(first).cast(), size, MsFlags::MS_SYNC) }
            .during("write the pages back")
    }

    /// mremap: the pages keep their frames, the address may change. The file must be long enough.
    pub fn grow(&mut self, len: usize) -> Result<(), Error> {
        self.0.resize(len)
    }
}

/// A file's bytes, to change for ourselves: PROT_READ|PROT_WRITE, MAP_PRIVATE.
#[derive(Debug)]
pub struct PrivateFile(Area);

impl PrivateFile {
    pub fn map(file: &File, len: usize) -> Result<PrivateFile, Error> {
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        Area::map(len, prot, MapFlags::MAP_PRIVATE, Some(file.as_fd())).map(PrivateFile)
    }
}

/// Zeroed memory that children share: MAP_SHARED|MAP_ANONYMOUS.
#[derive(Debug)]
pub struct SharedAnonymous(Area);

impl SharedAnonymous {
    pub fn map(len: usize) -> Result<SharedAnonymous, Error> {
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        Area::map(len, prot, MapFlags::MAP_SHARED, None).map(SharedAnonymous)
    }
}

/// Zeroed memory that children get a copy of: MAP_PRIVATE|MAP_ANONYMOUS.
#[derive(Debug)]
pub struct PrivateAnonymous(Area);

impl PrivateAnonymous {
    pub fn map(len: usize) -> Result<PrivateAnonymous, Error> {
        PrivateAnonymous::with(len, MapFlags::empty())
    }

    /// All its frames are there when the call returns.
    pub fn populated(len: usize) -> Result<PrivateAnonymous, Error> {
        PrivateAnonymous::with(len, MapFlags::MAP_POPULATE)
    }

    fn with(len: usize, more: MapFlags) -> Result<PrivateAnonymous, Error> {
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        Area::map(len, prot, MapFlags::MAP_PRIVATE | more, None).map(PrivateAnonymous)
    }
}

macro_rules! mapping {
    ($($name:ident)*) => { $(impl Mapping for $name {
        fn area(&self) -> &Area {
            &self.0
        }
    })* };
}

mapping! { FileView SharedFile PrivateFile SharedAnonymous PrivateAnonymous }

impl Writable for SharedFile {}
impl Writable for PrivateFile {}
impl Writable for SharedAnonymous {}
impl Writable for PrivateAnonymous {}
