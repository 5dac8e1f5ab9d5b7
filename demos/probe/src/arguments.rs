//! The command line as the C runtime passes it, read without allocating.

use std::ffi::{CStr, c_char, c_int};

/// The arguments of the process.
#[derive(Clone, Copy)]
pub struct Arguments(&'static [*const c_char]);

impl Arguments {
    /// # Safety
    /// `arguments` points at `count` C strings that live, unchanged, as long as the process does: what
    /// the C runtime passes to `main`.
    pub unsafe fn new(count: c_int, arguments: *const *const c_char) -> Arguments {
        let count = usize::try_from(count).unwrap_or(0);
        if count == 0 {
            return Arguments(&[]);
        }
        // SAFETY: `count` pointers, by the caller's promise.
        Arguments(unsafe { std::slice::from_raw_parts(arguments, count) })
    }

    pub fn get(self, at: usize) -> Option<&'static CStr> {
        // SAFETY: each of them is a C string, by the promise made to `new`.
        self.0.get(at).map(|&argument| unsafe { CStr::from_ptr(argument) })
    }

    pub fn iter(self) -> impl Iterator<Item = &'static CStr> {
        (0..self.0.len()).filter_map(move |at| self.get(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_where_they_are() {
        static STRINGS: [&CStr; 2] = [c"brkmap", c"trace"];
        let pointers = Box::leak(Box::new(STRINGS.map(CStr::as_ptr)));
        // SAFETY: two leaked pointers to two statics.
        let arguments = unsafe { Arguments::new(2, pointers.as_ptr()) };
        assert_eq!(arguments.get(1), Some(c"trace"));
        assert_eq!(arguments.get(2), None);
        assert_eq!(arguments.iter().count(), 2);
    }
}
