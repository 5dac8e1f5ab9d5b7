//! Reads of stack memory that may not be there.
//!
//! A stack lies in pages side by side, so one look at a page serves for all words in it, and the next frames
//! are mostly in the same or the next one.
#![allow(unsafe_code)]

use crate::base::config::PAGE;
use crate::base::units::is_multiple;
use crate::os::errno::keep_errno;

/// Addresses that can be read.
pub struct Memory {
    from: usize,
    end: usize,
}

impl Memory {
    /// The page of a stack pointer, which is in use.
    pub fn around(sp: usize) -> Memory {
        let from = sp & !(PAGE - 1);
        Memory { from, end: from + PAGE }
    }

    /// The word at an address; None where none can be read.
    pub fn word(&mut self, at: usize) -> Option<usize> {
        if !is_multiple(at, align_of::<usize>()) || at < PAGE || !self.has(at) {
            return None;
        }
        // SAFETY: an aligned word of a page that can be read. It belongs to this thread's stack, or to
        // whoever a wrong rule led to: a number, whatever it is.
        Some(unsafe { core::ptr::with_exposed_provenance::<usize>(at).read_volatile() })
    }

    fn has(&mut self, at: usize) -> bool {
        if (self.from..self.end).contains(&at) {
            return true;
        }
        let page = at & !(PAGE - 1);
        if !can_be_read(page) {
            return false;
        }
        if page == self.end {
            self.end = page + PAGE;
        } else {
            (self.from, self.end) = (page, page + PAGE);
        }
        true
    }
}

/// Whether a page can be read: asked of the kernel by a call that reads a word there and then refuses what it
/// was asked for, since there is no such `how` (sigprocmask(2)).
fn can_be_read(page: usize) -> bool {
    const NO_SUCH_HOW: libc::c_int = -1;
    keep_errno(|| {
        let (set, none) = (core::ptr::with_exposed_provenance::<u8>(page), core::ptr::null_mut::<u8>());
        // SAFETY: changes nothing, for whatever address.
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, NO_SUCH_HOW, set, none, size_of::<u64>()) };
        // SAFETY: the location is this thread's own errno.
        unsafe { *libc::__errno_location() != libc::EFAULT }
    })
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_mapped_is_read() {
        let here = 77usize;
        let at = &raw const here as usize;
        let mut memory = Memory::around(at);
        assert_eq!(memory.word(at), Some(77));
        assert_eq!((memory.word(at + 1), memory.word(8), memory.word(usize::MAX & !7)), (None, None, None));
        let boxed = Box::new(99usize);
        assert_eq!(memory.word(core::ptr::from_ref(boxed.as_ref()).expose_provenance()), Some(99));
        // SAFETY: a new mapping that nobody reads.
        let hidden = unsafe { libc::mmap(core::ptr::null_mut(), 4096, libc::PROT_NONE, 0x22, -1, 0) };
        assert_eq!(memory.word(hidden as usize), None);
    }
}
