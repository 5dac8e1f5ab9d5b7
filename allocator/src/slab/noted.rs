//! Wrong use that is found while a lock is held, or a list is half changed: noted, and reported when neither
//! is.
//!
//! Whoever begins an operation makes the note before it takes a lock. So the note goes after the guard did,
//! and ends the program then. What the program's handler of SIGABRT allocates or frees finds everything in
//! its place.

use crate::base::fatal;
use core::cell::Cell;
use core::ffi::CStr;

pub struct Noted {
    first: Cell<Option<(&'static CStr, *mut u8)>>,
}

impl Noted {
    pub const fn nothing() -> Noted {
        Noted { first: Cell::new(None) }
    }

    /// Notes what is wrong with a block, which then belongs to nobody. The first note is the one that is
    /// told.
    #[cold]
    #[inline(never)]
    pub fn note(&self, what: &'static CStr, block: *mut u8) {
        if self.first.get().is_none() {
            self.first.set(Some((what, block)));
        }
    }
}

impl Drop for Noted {
    #[inline]
    fn drop(&mut self) {
        if let Some((what, block)) = self.first.get() {
            fatal::wrong_use(what, block);
        }
    }
}
