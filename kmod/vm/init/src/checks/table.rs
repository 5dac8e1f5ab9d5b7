// SPDX-License-Identifier: GPL-2.0
//! When the page table is filled: all of it in mmap, or an entry with each first touch.

use std::os::unix::fs::FileExt;

use crate::report::{Outcome, equal, refused, that};
use crate::sys::{self, FAULT, Map, PAGE, REMAP};
use crate::uapi::FAULT_PAGES;

/// Minor faults of this process while `work` runs.
fn faults_during(work: impl FnOnce()) -> i64 {
    let before = sys::minor_faults();
    work();
    sys::minor_faults() - before
}

fn touch(map: &Map) {
    for offset in (0..map.len).step_by(PAGE) {
        map.get(offset);
    }
}

/// Runs first after load: nobody has touched anything yet.
pub fn filled_when_first_touched() -> Outcome {
    let fd = sys::open(FAULT, libc::O_RDWR)?;
    equal("filled after load", sys::info(&fd)?.filled, 0)?;
    equal("filled after load, /dev/mymap", sys::info_of(REMAP)?.filled, 1)?;
    let map = Map::shared(&fd, FAULT_PAGES)?;
    equal("filled after mmap", sys::info(&fd)?.filled, 0)?;
    for page in 0..FAULT_PAGES {
        map.get(page * PAGE);
        equal("filled after a touch", sys::info(&fd)?.filled as usize, page + 1)?;
    }
    Ok(())
}

pub fn remap_never_faults() -> Outcome {
    faults_during(|| ());
    let map = Map::of_device(REMAP, 1)?;
    equal("minor faults at the first touch", faults_during(|| touch(&map)), 0)?;
    equal("minor faults at the first write", faults_during(|| map.set(300, 0)), 0)?;
    equal("faults the module answered", sys::info_of(REMAP)?.faults, 0)
}

pub fn one_fault_a_page() -> Outcome {
    let before = sys::info_of(FAULT)?.faults;
    let map = Map::of_device(FAULT, FAULT_PAGES)?;
    equal("minor faults in the first round", faults_during(|| touch(&map)), FAULT_PAGES as i64)?;
    equal("minor faults in the second round", faults_during(|| touch(&map)), 0)?;
    equal("faults the module answered", sys::info_of(FAULT)?.faults - before, FAULT_PAGES as u64)
}

/// The entry of /proc/self/pagemap for the page at `at`: bit 63 says present, bits 0–54 which frame.
pub fn pagemap(at: *const u8) -> Result<u64, String> {
    let mut entry = [0; 8];
    std::fs::File::open("/proc/self/pagemap")
        .and_then(|file| file.read_exact_at(&mut entry, (at.addr() / PAGE * 8) as u64))
        .map_err(|error| format!("/proc/self/pagemap: {error}"))?;
    Ok(u64::from_ne_bytes(entry))
}

pub fn present(entry: u64) -> bool {
    entry >> 63 == 1
}

pub fn entry_appears() -> Outcome {
    let map = Map::of_device(FAULT, FAULT_PAGES)?;
    let untouched = present(pagemap(map.at)?);
    map.get(0);
    that("no entry before the touch", !untouched)?;
    that("an entry after it", present(pagemap(map.at)?))?;
    that("none for the neighbour", !present(pagemap(map.at.wrapping_add(PAGE))?))
}

pub fn dontneed() -> Outcome {
    let map = Map::of_device(FAULT, FAULT_PAGES)?;
    touch(&map);
    map.set(400, 7);
    map.advise(libc::MADV_DONTNEED)?;
    equal("minor faults after the entries went", faults_during(|| touch(&map)), FAULT_PAGES as i64)?;
    let kept = map.get(400);
    map.set(400, 0);
    equal("the byte, kept by the device", kept, 7)
}

/// A frame mapping has nothing to fault back from, so the kernel does not let its entries go.
pub fn dontneed_refused() -> Outcome {
    let map = Map::of_device(REMAP, 1)?;
    refused("MADV_DONTNEED", map.advise(libc::MADV_DONTNEED), libc::EINVAL)
}
