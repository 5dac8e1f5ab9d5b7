// SPDX-License-Identifier: GPL-2.0
//! The two ways in figures: `# way NAME figure=value …` lines, for the README.
//!
//! The times are those of an emulated machine: only their relation says something.

use std::hint::black_box;
use std::time::Instant;

use crate::checks::{DEVICES, Device};
use crate::sys::{self, Map, PAGE};

const ROUNDS: usize = 201;

pub fn print() {
    for device in DEVICES {
        match measured(device) {
            Ok(line) => println!("# {} {line}", device.path.to_str().expect("ASCII")),
            Err(errno) => println!("# {:?}: {}", device.path, sys::name(errno)),
        }
    }
}

fn measured(device: Device) -> Result<String, i32> {
    let fd = sys::open(device.path, libc::O_RDWR)?;
    let (mut mmap, mut first, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let mut faults = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let map = Map::shared(&fd, device.pages)?;
        mmap.push(start.elapsed().as_nanos());
        let before = sys::minor_faults();
        first.push(touched(&map));
        again.push(touched(&map));
        (0..device.pages).for_each(|page| _ = black_box(map.get(page * PAGE)));
        faults = sys::minor_faults() - before;
    }
    let map = Map::shared(&fd, device.pages)?;
    (0..device.pages).for_each(|page| _ = black_box(map.get(page * PAGE)));
    let [rss, flags] = ["Rss:", "VmFlags:"].map(|field| smaps(&map, field));
    Ok(format!(
        "pages={} minor-faults={faults} mmap-ns={} first-touch-ns={} next-touch-ns={} rss={} vmflags={}",
        device.pages,
        median(&mut mmap),
        median(&mut first),
        median(&mut again),
        rss.replace(' ', ""),
        flags.replace(' ', ","),
    ))
}

/// One byte of the first page, and the clock, which costs more than a touch that does not fault.
fn touched(map: &Map) -> u128 {
    let start = Instant::now();
    black_box(map.get(0));
    start.elapsed().as_nanos()
}

fn median(times: &mut [u128]) -> u128 {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A field of the mapping's entry in /proc/self/smaps.
fn smaps(map: &Map, field: &str) -> String {
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let head = format!("{:08x}-", map.at.addr());
    let own = text.lines().skip_while(|line| !line.starts_with(&head));
    let line = own.clone().find_map(|line| line.strip_prefix(field));
    line.unwrap_or("?").trim().to_string()
}
