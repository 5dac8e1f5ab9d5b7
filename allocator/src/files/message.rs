//! Messages of protocol buffers, as they are encoded.
#![forbid(unsafe_code)]

use super::sink::Sink;
use crate::base::checked::Checked;

/// A message of at most so many bytes.
pub struct Message<const ROOM: usize = 128> {
    bytes: Checked<u8, ROOM>,
    len: usize,
}

/// The most bytes of a number.
pub const NUMBER: usize = 10;

/// A field's number, and a length or a number.
pub type Head = Message<{ 2 * NUMBER }>;

/// How a field's value is written.
const VARINT: u64 = 0;
const BYTES: u64 = 2;

impl<const ROOM: usize> Message<ROOM> {
    pub fn new() -> Self {
        Message { bytes: Checked([0; ROOM]), len: 0 }
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.first(self.len)
    }

    fn push(&mut self, byte: u8) {
        if self.len < ROOM {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
    }

    /// Makes it an empty one again.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// A number with no field before it, of several that are packed.
    pub fn varint(&mut self, number: u64) {
        let mut rest = number;
        while rest >= 0x80 {
            self.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.push(rest as u8);
    }

    /// A field that is a number. 0 is what is not there.
    pub fn number(mut self, field: u64, number: u64) -> Self {
        if number != 0 {
            self.varint(field << 3 | VARINT);
            self.varint(number);
        }
        self
    }

    /// A field of numbers, packed.
    pub fn numbers(self, field: u64, numbers: impl Iterator<Item = u64>) -> Self {
        let mut packed = Message::<ROOM>::new();
        numbers.for_each(|number| packed.varint(number));
        self.text(field, packed.bytes())
    }

    /// A field that is a message.
    pub fn message(self, field: u64, inner: Message) -> Self {
        self.text(field, inner.bytes())
    }

    /// What is before a field of so many bytes.
    pub fn head(mut self, field: u64, len: usize) -> Self {
        self.varint(field << 3 | BYTES);
        self.varint(len as u64);
        self
    }

    fn text(mut self, field: u64, text: &[u8]) -> Self {
        self = self.head(field, text.len());
        text.iter().for_each(|&byte| self.push(byte));
        self
    }
}

/// Writes a field of the outermost message that is a message, or text.
pub fn put_field(out: &mut impl Sink, field: u64, bytes: &[u8]) {
    put_parts(out, field, [bytes, &[], &[]]);
}

/// The same of a message that is in parts.
pub fn put_parts(out: &mut impl Sink, field: u64, parts: [&[u8]; 3]) {
    let len = parts.iter().map(|part| part.len()).sum();
    out.put(Head::new().head(field, len).bytes());
    parts.into_iter().for_each(|part| out.put(part));
}

/// Writes a field of the outermost message that is a number.
pub fn put_number(out: &mut impl Sink, field: u64, number: u64) {
    out.put(Head::new().number(field, number).bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_as_the_specification_shows_them() {
        // The examples of "Protocol Buffers: Encoding".
        assert_eq!(Message::<128>::new().number(1, 150).bytes(), [0x08, 0x96, 0x01]);
        let inner = Message::<128>::new().number(1, 150);
        assert_eq!(Message::<128>::new().message(3, inner).bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let packed = Message::<128>::new().numbers(6, [3, 270, 86942].into_iter());
        let mut parts = Vec::new();
        let mut first = Message::<20>::new();
        [9, 3].into_iter().for_each(|number| {
            first.clear();
            first.varint(number);
        });
        put_parts(&mut parts, 6, [first.bytes(), &[0x8e, 0x02], &[0x9e, 0xa7, 0x05]]);
        assert_eq!(parts, packed.bytes());
        assert_eq!(packed.bytes(), [0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]);
        let mut out = Vec::new();
        put_field(&mut out, 2, b"testing");
        assert_eq!(out, *b"\x12\x07testing");
        assert!(Message::<128>::new().number(1, 0).bytes().is_empty());
    }
}
