// SPDX-License-Identifier: GPL-2.0
//! read and write: the device's bytes, copied by the kernel through its own view of the pages.

use crate::device::Device;
use crate::errno::Errno;
use crate::shim::{self, PAGE_SIZE};

/// A piece of the device that lies within one page.
struct Piece {
    address: *mut u8,
    len: usize,
}

/// read at `offset` into the process's memory at `user`. Zero at the end.
pub fn read(device: &Device, user: u64, len: usize, offset: u64) -> Result<usize, Errno> {
    copy(device, len, offset, |piece, done| {
        // SAFETY: a piece lies within a page that lives at least as long as this call.
        unsafe { shim::shim_copy_to_user(user.wrapping_add(done), piece.address, piece.len) }
    })
}

/// write at `offset` from the process's memory at `user`. No room at the end is ENOSPC.
pub fn write(device: &Device, user: u64, len: usize, offset: u64) -> Result<usize, Errno> {
    let done = copy(device, len, offset, |piece, done| {
        // SAFETY: as in read; processes see the bytes change, as they would with each other's.
        unsafe { shim::shim_copy_from_user(piece.address, user.wrapping_add(done), piece.len) }
    })?;
    if done == 0 && len > 0 { Err(Errno::Nospc) } else { Ok(done) }
}

/// Walks `[offset, offset + len)` page by page. `mover` gets a piece and the bytes done before it, and
/// returns how many it could not move; EFAULT only if nothing at all was moved.
fn copy(
    device: &Device,
    len: usize,
    offset: u64,
    mover: impl Fn(Piece, u64) -> usize,
) -> Result<usize, Errno> {
    let mut done = 0;
    while done < len {
        // The kernel refuses offset + len beyond i64 before it asks us.
        let at = offset + done as u64;
        let Some(page) = device.page(at / PAGE_SIZE as u64) else { break };
        let within = (at % PAGE_SIZE as u64) as usize;
        let piece_len = (PAGE_SIZE - within).min(len - done);
        // SAFETY: within < PAGE_SIZE, so the piece starts inside the page.
        let address = unsafe { page?.address().add(within) };
        let left = mover(Piece { address, len: piece_len }, done as u64);
        done += piece_len - left;
        if left > 0 {
            return if done == 0 { Err(Errno::Fault) } else { Ok(done) };
        }
    }
    Ok(done)
}
