// SPDX-License-Identifier: GPL-2.0
//! What is in the pages, seen from the process and from the kernel.

use super::{DEVICES, Device};
use crate::report::{Outcome, equal, that};
use crate::sys::{self, FAULT, Map, PAGE};
use crate::uapi;

/// What page `index` begins with, by mymap_uapi.h.
pub fn wanted(index: usize) -> Vec<u8> {
    (0..uapi::BYTES).map(|i| (uapi::BYTES * index + i) as u8).collect()
}

pub fn ten_bytes(device: Device) -> Outcome {
    let map = Map::of_device(device.path, device.pages)?;
    equal("the seed's ten bytes", map.first_bytes(0), (0..10).collect())?;
    for index in 0..device.pages {
        equal(&format!("page {index}"), map.first_bytes(index), wanted(index))?;
    }
    Ok(())
}

/// A page that was not zeroed would show a process what the kernel kept there before.
pub fn rest_is_zero() -> Outcome {
    for device in DEVICES {
        let map = Map::of_device(device.path, device.pages)?;
        for page in 0..device.pages {
            for offset in uapi::BYTES..PAGE {
                equal(
                    &format!("{:?} page {page} byte {offset}", device.path),
                    map.get(page * PAGE + offset),
                    0,
                )?;
            }
        }
    }
    Ok(())
}

pub fn offset_maps_that_page() -> Outcome {
    let fd = sys::open(FAULT, libc::O_RDWR)?;
    for first in [1, 7, uapi::FAULT_PAGES - 1] {
        let map = Map::new(&fd, PAGE, libc::PROT_READ, libc::MAP_SHARED, first * PAGE)?;
        equal(&format!("at offset {first} pages"), map.first_bytes(0), wanted(first))?;
    }
    Ok(())
}

pub fn info() -> Outcome {
    for device in DEVICES {
        let info = sys::info_of(device.path)?;
        equal("way", info.way, device.way)?;
        equal("pages", info.pages as usize, device.pages)?;
        that("the pages filled are at most all", info.filled <= info.pages)?;
    }
    Ok(())
}

pub fn kernel_reads() -> Outcome {
    for device in DEVICES {
        let fd = sys::open(device.path, libc::O_RDWR)?;
        let map = Map::shared(&fd, device.pages)?;
        let at = (device.pages - 1) * PAGE + 100;
        map.set(at, 0xA5);
        let mut byte = [0];
        equal("bytes read", sys::pread(&fd, &mut byte, at)?, 1)?;
        map.set(at, 0);
        equal("the byte", byte[0], 0xA5)?;
    }
    Ok(())
}

pub fn kernel_writes() -> Outcome {
    for device in DEVICES {
        let fd = sys::open(device.path, libc::O_RDWR)?;
        let map = Map::shared(&fd, device.pages)?;
        let at = (device.pages - 1) * PAGE + 200;
        equal("bytes written", sys::pwrite(&fd, &[0x5A, 0x5B], at)?, 2)?;
        let seen = [map.get(at), map.get(at + 1)];
        sys::pwrite(&fd, &[0, 0], at)?;
        equal("the bytes", seen, [0x5A, 0x5B])?;
    }
    Ok(())
}

pub fn across_pages() -> Outcome {
    let fd = sys::open(FAULT, libc::O_RDWR)?;
    let map = Map::shared(&fd, uapi::FAULT_PAGES)?;
    // Three pages long, from the middle of page 4 on.
    let (start, len) = (4 * PAGE + PAGE / 2, 3 * PAGE);
    let mut before = vec![0; len];
    equal("bytes read", sys::pread(&fd, &mut before, start)?, len)?;
    equal("page 5 within what was read", &before[PAGE / 2..][..10], &wanted(5)[..])?;
    let pattern: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    equal("bytes written", sys::pwrite(&fd, &pattern, start)?, len)?;
    let seen: Vec<u8> = (start..start + len).map(|at| map.get(at)).collect();
    sys::pwrite(&fd, &before, start)?;
    that("the mapping shows what was written", seen == pattern)
}

pub fn seek_and_end() -> Outcome {
    for device in DEVICES {
        let fd = sys::open(device.path, libc::O_RDWR)?;
        let size = device.pages * PAGE;
        equal("seek to the end", sys::seek(&fd, 0, libc::SEEK_END)?, size)?;
        let mut bytes = [0xEE; 16];
        equal("read at the end", sys::pread(&fd, &mut bytes, size)?, 0)?;
        equal("read up to the end", sys::pread(&fd, &mut bytes, size - 4)?, 4)?;
        equal("no more than that", bytes[4], 0xEE)?;
        equal("write up to the end", sys::pwrite(&fd, &[0; 16], size - 4)?, 4)?;
        equal("write at the end", sys::pwrite(&fd, &[0; 16], size), Err(libc::ENOSPC))?;
        equal("seek beyond", sys::seek(&fd, 1 + size as i64, libc::SEEK_SET), Err(libc::EINVAL))?;
    }
    Ok(())
}
