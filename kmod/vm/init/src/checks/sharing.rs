// SPDX-License-Identifier: GPL-2.0
//! Two processes, one page.

use super::Device;
use super::table::{pagemap, present};
use crate::process::{self, Turn};
use crate::report::{Fail, Outcome, equal, that};
use crate::sys::{self, FAULT, Map, PAGE};

/// Both map for themselves: nothing comes by fork but the program.
pub fn second_process(device: Device) -> Outcome {
    let at = (device.pages - 1) * PAGE + 500;
    let (wrote, answered) = (Turn::new(), Turn::new());
    let child = process::start(|| {
        let Ok(map) = Map::of_device(device.path, device.pages) else { return 2 };
        wrote.take();
        let seen = map.get(at);
        map.set(at + 1, 43);
        answered.give();
        i32::from(seen != 42)
    });
    let map = Map::of_device(device.path, device.pages)?;
    map.set(at, 42);
    wrote.give();
    answered.take();
    let seen = map.get(at + 1);
    map.set(at, 0);
    map.set(at + 1, 0);
    equal("the second process", child.wait(), process::Ended::Exited(0))?;
    equal("what the second process wrote", seen, 43)
}

pub fn after_the_writer(device: Device) -> Outcome {
    that(
        "the writer maps and ends",
        process::holds(|| Map::of_device(device.path, device.pages).map(|map| map.set(600, 66)).is_ok()),
    )?;
    let map = Map::of_device(device.path, device.pages)?;
    let seen = map.get(600);
    map.set(600, 0);
    equal("what it left", seen, 66)
}

pub fn fork_inherits(device: Device) -> Outcome {
    let map = Map::of_device(device.path, device.pages)?;
    that(
        "the child reads and writes by the parent's mapping",
        process::holds(|| {
            map.set(700, 77);
            map.first_bytes(0) == super::bytes::wanted(0)
        }),
    )?;
    let seen = map.get(700);
    map.set(700, 0);
    equal("what the child wrote", seen, 77)
}

pub fn survives_close(device: Device) -> Outcome {
    let fd = sys::open(device.path, libc::O_RDWR)?;
    let map = Map::shared(&fd, device.pages)?;
    drop(fd);
    for page in 0..device.pages {
        equal("the bytes after close", map.first_bytes(page), super::bytes::wanted(page))?;
    }
    map.set(800, 1);
    map.set(800, 0);
    Ok(())
}

pub fn mappings_counted(device: Device) -> Outcome {
    let fd = sys::open(device.path, libc::O_RDWR)?;
    let count = || sys::info(&fd).map(|info| info.mappings);
    equal("before", count()?, 0)?;
    let one = Map::shared(&fd, device.pages)?;
    let two = Map::shared(&fd, device.pages)?;
    equal("mapped twice", count()?, 2)?;
    that("a fork doubles them", process::holds(|| count() == Ok(4)))?;
    drop(one);
    equal("one unmapped", count()?, 1)?;
    let refused = Map::new(&fd, PAGE, libc::PROT_READ, libc::MAP_SHARED, device.pages * PAGE);
    that("a mapping beyond the end is refused", refused.is_err())?;
    equal("a refused one does not count", count()?, 1)?;
    drop(two);
    equal("after", count()?, 0)
}

/// The page table entries of two processes name the same frame.
pub fn one_frame() -> Outcome {
    let frame = |map: &Map| -> Result<u64, Fail> {
        map.get(3 * PAGE);
        let entry = pagemap(map.at.wrapping_add(3 * PAGE))?;
        that("present", present(entry))?;
        Ok(entry & ((1 << 55) - 1))
    };
    let map = Map::of_device(FAULT, 4)?;
    let mine = frame(&map)?;
    that("root may read frame numbers", mine != 0)?;
    that(
        "the second process has the same frame",
        process::holds(|| {
            Map::of_device(FAULT, 4).is_ok_and(|map| frame(&map).is_ok_and(|theirs| theirs == mine))
        }),
    )?;
    // Page 2 is another one.
    map.get(2 * PAGE);
    that("another page, another frame", pagemap(map.at.wrapping_add(2 * PAGE))? & ((1 << 55) - 1) != mine)
}
