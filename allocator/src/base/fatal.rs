//! Ends a program whose heap is broken: one line on standard error, then abort. Nothing here allocates,
//! formats or unwinds.
#![allow(unsafe_code)]

use core::ffi::CStr;
use rustix::fd::BorrowedFd;

/// The program did with a block what it may not. No lock is held, and nothing is half changed: a handler of
/// SIGABRT may allocate and free.
#[cold]
#[inline(never)]
pub fn wrong_use(what: &'static CStr, block: *mut u8) -> ! {
    let mut address = [0; ADDRESS];
    write(&[b"brkmap: ", what.to_bytes(), b": ", hexadecimal(block.addr(), &mut address)]);
    // SAFETY: no preconditions; does not return.
    unsafe { libc::abort() }
}

/// An invariant of the allocator does not hold: a bug of ours, or memory that the program overwrote. A lock
/// may be held, so no handler of the program's is called, which might wait for that for ever.
#[cold]
#[inline(never)]
pub fn unreachable_state(what: &'static CStr) -> ! {
    write(&[b"brkmap: ", what.to_bytes()]);
    // SAFETY: neither has preconditions; abort does not return.
    unsafe {
        libc::signal(libc::SIGABRT, libc::SIG_DFL);
        libc::abort()
    }
}

/// Writes a line to standard error, and goes on. Errno stays as it was. The allocator may have a name.
#[cold]
pub fn warn(name: &[u8], what: &[u8]) {
    match name {
        [] => write(&[b"brkmap: ", what]),
        name => write(&[b"brkmap (", name, b"): ", what]),
    }
}

/// One line, in one call, so that lines of several threads do not mix.
fn write(parts: &[&[u8]]) {
    let mut line = [0; 400];
    let mut len = 0;
    for byte in parts.iter().chain(&[&b"\n"[..]]).copied().flatten() {
        if let Some(place) = line.get_mut(len) {
            *place = *byte;
            len += 1;
        }
    }
    let line = line.get(..len).unwrap_or(&[]);
    // SAFETY: standard error, which is nobody's to own. Where it is closed the write fails, and there is
    // nobody to tell.
    let _ = rustix::io::write(unsafe { BorrowedFd::borrow_raw(2) }, line);
}

/// Room for an address in hexadecimal, behind `0x`.
const ADDRESS: usize = 2 + usize::BITS as usize / 4;

/// Written by hand: core's formatting can panic, and brings some 200 KiB of std along.
fn hexadecimal(number: usize, text: &mut [u8; ADDRESS]) -> &[u8] {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1) as usize;
    let mut rest = number;
    for place in text.iter_mut().take(2 + digits).skip(2).rev() {
        let digit = (rest % 16) as u8;
        *place = if digit < 10 { b'0' + digit } else { b'a' - 10 + digit };
        rest /= 16;
    }
    let [zero, x, ..] = text;
    (*zero, *x) = (b'0', b'x');
    text.get(..2 + digits).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_in_hexadecimal() {
        for number in [0, 9, 10, 0xabc, 0x7fff_1234_5678, usize::MAX] {
            let text = String::from_utf8(hexadecimal(number, &mut [0; ADDRESS]).to_vec());
            assert_eq!(text, Ok(format!("{number:#x}")));
        }
    }
}
