// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Reads `mymap_uapi.h` at compile time, so that C, the module's Rust and the user programs share one file.
//!
//! Only `#define NAME number` lines are understood. A name that is missing, or whose value is no
//! number, fails the build: every constant below is evaluated by the compiler, and nothing of the
//! reader is left in the object.

const HEADER: &[u8] = include_bytes!("../mymap_uapi.h");

pub const REMAP_PAGES: usize = define("MYMAP_REMAP_PAGES") as usize;
pub const FAULT_PAGES: usize = define("MYMAP_FAULT_PAGES") as usize;
pub const BYTES: usize = define("MYMAP_BYTES") as usize;
pub const WAY_REMAP: u32 = define("MYMAP_WAY_REMAP") as u32;
pub const WAY_FAULT: u32 = define("MYMAP_WAY_FAULT") as u32;
pub const IOC_INFO: u32 = define("MYMAP_IOC_INFO") as u32;

/// `struct mymap_info`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Info {
    pub way: u32,
    pub pages: u32,
    pub filled: u32,
    pub mappings: u32,
    pub faults: u64,
}

/// `_IOR(0xEF, 1, struct mymap_info)`: direction 2 (read), size, type, number.
const _: () = assert!(IOC_INFO == 2 << 30 | (size_of::<Info>() as u32) << 16 | 0xEF << 8 | 1);
/// The last byte of the last page is `10 * pages - 1`, and must be one.
const _: () = assert!(FAULT_PAGES * BYTES <= 256);

/// The number that `#define name` gives, or a failed build.
const fn define(name: &str) -> u64 {
    let mut at = 0;
    while at < HEADER.len() {
        if let Some(value) = value_at(at, name) {
            return number(value);
        }
        at += 1;
    }
    panic!("mymap_uapi.h lacks a #define that src/uapi.rs reads");
}

/// Where the value begins, if `#define name ` stands at `at`.
const fn value_at(at: usize, name: &str) -> Option<usize> {
    let Some(after) = matches_at(at, b"#define ") else { return None };
    let Some(blank) = matches_at(after, name.as_bytes()) else { return None };
    if HEADER[blank] == b' ' { Some(blank + 1) } else { None }
}

/// Where the text after `what` begins, if `what` stands at `at`.
const fn matches_at(at: usize, what: &[u8]) -> Option<usize> {
    let mut i = 0;
    while i < what.len() {
        if at + i >= HEADER.len() || HEADER[at + i] != what[i] {
            return None;
        }
        i += 1;
    }
    Some(at + i)
}

const fn number(at: usize) -> u64 {
    let (mut i, radix) = match matches_at(at, b"0x") {
        Some(digits) => (digits, 16),
        None => (at, 10),
    };
    let first = i;
    let mut value = 0;
    while let Some(digit) = (HEADER[i] as char).to_digit(radix) {
        value = value * radix as u64 + digit as u64;
        i += 1;
    }
    assert!(i > first && HEADER[i] == b'\n', "a #define in mymap_uapi.h is not a plain number");
    value
}
