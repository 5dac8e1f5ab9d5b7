//! What the process was started with, and files about it: read without libc's streams, and without an
//! allocation.
#![allow(unsafe_code)]

use super::descriptor::Descriptor;
use crate::base::text::Text;
use core::ffi::{CStr, c_char};

/// Whether the program runs with raised rights (getauxval(3), AT_SECURE): whoever started it may have fewer.
pub fn is_secure() -> bool {
    // SAFETY: getauxval has no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// All variables, as `NAME=value`. What the program does to them meanwhile is its own affair.
pub fn variables() -> impl Iterator<Item = &'static [u8]> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: libc's variable; null until libc has started.
    let mut entry = unsafe { environ };
    core::iter::from_fn(move || {
        if entry.is_null() {
            return None;
        }
        // SAFETY: the array ends with a null pointer, behind which nobody looks.
        let text = unsafe { *entry };
        if text.is_null() {
            return None;
        }
        // SAFETY: not yet the terminator.
        entry = unsafe { entry.add(1) };
        // SAFETY: entries are NUL-terminated strings that live as long as the process.
        Some(unsafe { CStr::from_ptr(text) }.to_bytes())
    })
}

/// Reads a file's first bytes. How many they are, which is `buffer`'s length where there may be more. None
/// where there is no such file, or it may not be read.
pub fn read_file(path: &CStr, buffer: &mut [u8]) -> Option<usize> {
    read_all(&Descriptor::open(path).ok()?, buffer)
}

/// Whether the parent was started with all of these variables too, each as `NAME=value`. False where it does
/// not say so.
pub fn parent_has<const N: usize>(variables: [&[u8]; N]) -> bool {
    let mut path = Text::<40>::new();
    path.push("/proc/");
    // SAFETY: no preconditions.
    path.number(unsafe { libc::getppid() } as usize, 0);
    path.push("/environ\0");
    let Ok(path) = CStr::from_bytes_with_nul(path.bytes()) else { return false };
    let Ok(file) = Descriptor::open(path) else { return false };
    let (mut found, mut buffer) = ([false; N], [0; 512]);
    let mut matching = variables.map(Some);
    while let Some(read) = read_all(&file, &mut buffer).filter(|read| *read > 0) {
        for &byte in buffer.get(..read).unwrap_or_default() {
            for ((rest, found), whole) in matching.iter_mut().zip(&mut found).zip(variables) {
                if byte == 0 {
                    *found |= rest.is_some_and(<[u8]>::is_empty);
                    *rest = Some(whole);
                } else {
                    *rest = rest
                        .and_then(|rest| rest.split_first())
                        .filter(|(first, _)| **first == byte)
                        .map(|(_, rest)| rest);
                }
            }
        }
    }
    found.iter().all(|found| *found)
}

fn read_all(file: &Descriptor, buffer: &mut [u8]) -> Option<usize> {
    let mut len = 0;
    while let Some(room) = buffer.get_mut(len..).filter(|room| !room.is_empty()) {
        match file.read(room).ok()? {
            0 => break,
            count => len += count,
        }
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no such files")]
    fn a_file_is_read_as_far_as_there_is_room() {
        let mut buffer = [0; 16];
        assert_eq!(read_file(c"/proc/self/comm/none", &mut buffer), None);
        assert_eq!(read_file(c"/proc/self/maps", &mut buffer), Some(16));
        assert_eq!(read_file(c"/dev/null", &mut buffer), Some(0));
        assert_eq!(read_file(c"/", &mut buffer), None, "a folder");
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri's environment is not libc's")]
    fn variables_are_libcs() {
        let path = format!("PATH={}", std::env::var("PATH").expect("a path"));
        assert!(variables().any(|variable| variable == path.as_bytes()));
        assert_eq!(variables().count(), std::env::vars_os().count());
    }
}
