//! Unwind tables as linkers write them: `.eh_frame_hdr` leads to the entry of a function in `.eh_frame` (LSB
//! Core, "Exception Frames"; DWARF 5, 6.4).
#![allow(unsafe_code)]

use super::bytes::{Bytes, Scale, encoding};
use super::objects::Object;
use super::program::{Registers, run};
use super::rule::{Base, Rule, Saved};

/// The rule of an address in an object; None where its tables have none, or are written in a way of their
/// own.
pub fn rule(object: &Object, pc: usize) -> Option<Rule> {
    let entry = find(object, pc)?;
    // SAFETY: the header led there.
    let mut entry = Entry::read(unsafe { Bytes::between(entry, object.end) })?;
    if !(entry.first..entry.first.wrapping_add(entry.len)).contains(&pc) {
        return None;
    }
    if entry.common.signal {
        return Some(Rule { base: Base::Signal, ..Rule::END });
    }
    let mut common = entry.common;
    let at_first = run(&mut common.program, &common.scale, Registers::unknown(), 0)?;
    let registers = run(&mut entry.program, &common.scale, at_first, pc - entry.first)?;
    Some(registers.rule())
}

/// Where the entry of the function is that an address may be in: the last that begins at it or below.
fn find(object: &Object, pc: usize) -> Option<usize> {
    let header = object.header;
    // SAFETY: an object's own header.
    let mut bytes = unsafe { Bytes::between(header, object.end) };
    let [version, frames, count, table] = bytes.number()?;
    if (version, table) != (1, encoding::FROM_HEADER_SDATA4) {
        return None;
    }
    bytes.pointer(frames)?;
    let count = bytes.pointer(count)?;
    let table = bytes.part(count.checked_mul(8)?)?.at;
    let pair = |at: usize| {
        // SAFETY: a row of the table.
        let mut row = unsafe { Bytes::between(table + at * 8, object.end) };
        let mut next = || Some(header.wrapping_add_signed(row.i32()? as isize));
        Some((next()?, next()?))
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if pair(middle)?.0 <= pc {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Some(pair(low.checked_sub(1)?)?.1)
}

/// What many entries have in common (a CIE).
struct Common {
    scale: Scale,
    /// How the entries write addresses.
    pointers: u8,
    /// They have data of their own, whose length they say.
    data: bool,
    /// A frame that the kernel made for a signal.
    signal: bool,
    program: Bytes,
}

/// The entry of a function (an FDE).
struct Entry {
    common: Common,
    first: usize,
    len: usize,
    program: Bytes,
}

/// A part of `.eh_frame`, without its length.
fn part(bytes: &mut Bytes) -> Option<Bytes> {
    const MORE_BITS: u32 = u32::MAX;
    match bytes.u32()? {
        0 | MORE_BITS => None,
        len => bytes.part(len as usize),
    }
}

impl Entry {
    fn read(mut bytes: Bytes) -> Option<Entry> {
        let end = bytes.end;
        let mut bytes = part(&mut bytes)?;
        let here = bytes.at;
        let back = bytes.u32()? as usize;
        // SAFETY: the entry says where the other one is: before it.
        let common = Common::read(unsafe { Bytes::between(here.checked_sub(back)?, end) })?;
        let first = bytes.pointer(common.pointers)?;
        let len = bytes.pointer(common.pointers & 0x0f)?;
        if common.data {
            let len = bytes.unsigned()?;
            bytes.part(len as usize)?;
        }
        Some(Entry { common, first, len, program: bytes })
    }
}

impl Common {
    fn read(mut bytes: Bytes) -> Option<Common> {
        let mut bytes = part(&mut bytes)?;
        let (id, version) = (bytes.u32()?, bytes.u8()?);
        if id != 0 || !matches!(version, 1 | 3) {
            return None;
        }
        let mut letters = bytes;
        while bytes.u8()? != 0 {}
        let scale = Scale { code: bytes.unsigned()?, data: bytes.signed()? };
        match version {
            1 => bytes.u8()? as u64,
            _ => bytes.unsigned()?,
        };
        let mut common =
            Common { scale, pointers: encoding::ABSOLUTE, data: false, signal: false, program: bytes };
        let mut data = None;
        loop {
            match letters.u8()? {
                0 => break,
                b'z' => {
                    let len = bytes.unsigned()? as usize;
                    data = Some(bytes.part(len)?);
                    common.data = true;
                    common.program = bytes;
                }
                b'R' => common.pointers = data.as_mut()?.u8()?,
                b'L' => _ = data.as_mut()?.u8()?,
                b'P' => {
                    let data = data.as_mut()?;
                    let encoding = data.u8()?;
                    // Where it is kept does not matter here, only how long it is.
                    data.pointer(encoding & 0x0f)?;
                }
                b'S' => common.signal = true,
                // Return addresses are signed with the other key.
                b'B' => {}
                _ => return None,
            }
        }
        Some(common)
    }
}

impl Registers {
    fn rule(&self) -> Rule {
        match self.ra {
            Saved::Lost => Rule::END,
            ra => Rule { base: self.base, offset: self.offset, fp: self.fp, ra },
        }
    }
}
