//! Unwind tables as linkers write them: `.eh_frame_hdr` leads to the entry of a function in `.eh_frame` (LSB
//! Core, "Exception Frames"; DWARF 5, 6.4).
#![allow(unsafe_code)]

use super::objects::Object;
use super::program::{Registers, run};
use super::rule::{Base, Rule, Saved};

/// Bytes of an object in memory, read one behind the other.
#[derive(Clone, Copy)]
pub struct Bytes {
    at: usize,
    end: usize,
}

/// How a pointer is written: the format in the low half, what it is counted from in the upper one.
mod encoding {
    pub const ABSOLUTE: u8 = 0x00;
    pub const UDATA4: u8 = 0x03;
    pub const UDATA8: u8 = 0x04;
    pub const SDATA4: u8 = 0x0b;
    pub const SDATA8: u8 = 0x0c;
    pub const FROM_HERE: u8 = 0x10;
    pub const FROM_HEADER_SDATA4: u8 = 0x3b;
}

impl Bytes {
    /// # Safety
    /// What lies between is an object's, mapped, and stays so.
    pub unsafe fn between(at: usize, end: usize) -> Bytes {
        Bytes { at, end }
    }

    pub fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// The next `len` bytes apart.
    pub fn part(&mut self, len: usize) -> Option<Bytes> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.end)?;
        let part = Bytes { at: self.at, end };
        self.at = end;
        Some(part)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        let part = self.part(N)?;
        // SAFETY: bytes of the object.
        Some(unsafe { core::ptr::with_exposed_provenance::<[u8; N]>(part.at).read_unaligned() })
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.number().map(u8::from_le_bytes)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.number().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.number().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.number().map(i32::from_le_bytes)
    }

    /// LEB128, of 64 bits.
    pub fn unsigned(&mut self) -> Option<u64> {
        self.leb().map(|(value, ..)| value)
    }

    pub fn signed(&mut self) -> Option<i64> {
        let (value, shift, last) = self.leb()?;
        let negative = last & 0x40 != 0 && shift < 64;
        Some(if negative { value as i64 | -1 << shift } else { value as i64 })
    }

    fn leb(&mut self) -> Option<(u64, u32, u8)> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.u8()?;
            if shift < 64 {
                value |= ((byte & 0x7f) as u64) << shift;
            }
            shift += 7;
            if byte & 0x80 == 0 {
                return Some((value, shift, byte));
            }
        }
    }

    fn pointer(&mut self, encoding: u8) -> Option<usize> {
        let here = if encoding & 0xf0 == encoding::FROM_HERE { self.at } else { 0 };
        if encoding & 0xf0 & !encoding::FROM_HERE != 0 {
            return None;
        }
        let offset = match encoding & 0x0f {
            encoding::UDATA4 => self.u32()? as usize,
            encoding::SDATA4 => self.i32()? as usize,
            encoding::ABSOLUTE | encoding::UDATA8 | encoding::SDATA8 => usize::from_le_bytes(self.number()?),
            _ => return None,
        };
        Some(here.wrapping_add(offset))
    }
}

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

/// What a program of an entry counts in.
pub struct Scale {
    pub code: u64,
    pub data: i64,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_standard_has_them() {
        let of = |bytes: &'static [u8]| {
            let at = bytes.as_ptr().expose_provenance();
            // SAFETY: a static's bytes.
            unsafe { Bytes::between(at, at + bytes.len()) }
        };
        assert_eq!(of(&[0xe5, 0x8e, 0x26]).unsigned(), Some(624_485));
        assert_eq!((of(&[0x7f]).signed(), of(&[0xff, 0x00]).signed()), (Some(-1), Some(127)));
        assert_eq!(of(&[0x80, 0x7f]).signed(), Some(-128));
        assert_eq!((of(&[0x80]).unsigned(), of(&[1, 2, 3]).u32()), (None, None));
        let mut bytes = of(&[0xfc, 0xff, 0xff, 0xff, 9]);
        assert_eq!(bytes.pointer(0x1b), Some(bytes.at - 4 - 4));
        assert_eq!((bytes.pointer(0x9b), bytes.u8(), bytes.is_empty()), (None, Some(9), true));
    }
}
