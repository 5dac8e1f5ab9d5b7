//! Numbers as unwind tables write them (DWARF 5, 7.6; LSB Core, "DWARF Exception Header Encoding").
#![allow(unsafe_code)]

/// Bytes of an object in memory, read one behind the other.
#[derive(Clone, Copy)]
pub struct Bytes {
    pub at: usize,
    pub end: usize,
}

/// How a pointer is written: the format in the low half, what it is counted from in the upper one.
pub mod encoding {
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

    pub fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
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

    pub fn i32(&mut self) -> Option<i32> {
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

    pub fn pointer(&mut self, encoding: u8) -> Option<usize> {
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

/// What a program of an entry counts in.
pub struct Scale {
    pub code: u64,
    pub data: i64,
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
