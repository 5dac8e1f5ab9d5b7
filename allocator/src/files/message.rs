//! Messages of protocol buffers, as they are encoded.
#![forbid(unsafe_code)]

use super::sink::Sink;
use crate::base::checked::Checked;
use crate::base::config::STACK_DEPTH;

/// A message that fits into this: a sample with its addresses' numbers, of at most ten bytes each.
const ROOM: usize = 10 * STACK_DEPTH + 256;

pub struct Message {
    bytes: Checked<u8, ROOM>,
    len: usize,
}

/// How a field's value is written.
const VARINT: u64 = 0;
const BYTES: u64 = 2;

impl Message {
    pub fn new() -> Message {
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

    fn varint(&mut self, number: u64) {
        let mut rest = number;
        while rest >= 0x80 {
            self.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.push(rest as u8);
    }

    /// A field that is a number. 0 is what is not there.
    pub fn number(mut self, field: u64, number: u64) -> Message {
        if number != 0 {
            self.varint(field << 3 | VARINT);
            self.varint(number);
        }
        self
    }

    /// A field of numbers, packed.
    pub fn numbers(mut self, field: u64, numbers: impl Iterator<Item = u64>) -> Message {
        let mut packed = Message::new();
        numbers.for_each(|number| packed.varint(number));
        self.varint(field << 3 | BYTES);
        self.varint(packed.len as u64);
        packed.bytes().iter().for_each(|&byte| self.push(byte));
        self
    }

    /// A field that is a message.
    pub fn message(self, field: u64, inner: Message) -> Message {
        self.text(field, inner.bytes())
    }

    fn text(mut self, field: u64, text: &[u8]) -> Message {
        self.varint(field << 3 | BYTES);
        self.varint(text.len() as u64);
        text.iter().for_each(|&byte| self.push(byte));
        self
    }
}

/// Writes a field of the outermost message that is a message, or text.
pub fn put_field(out: &mut impl Sink, field: u64, bytes: &[u8]) {
    let mut head = Message::new();
    head.varint(field << 3 | BYTES);
    head.varint(bytes.len() as u64);
    out.put(head.bytes());
    out.put(bytes);
}

/// Writes a field of the outermost message that is a number.
pub fn put_number(out: &mut impl Sink, field: u64, number: u64) {
    out.put(Message::new().number(field, number).bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_as_the_specification_shows_them() {
        // The examples of "Protocol Buffers: Encoding".
        assert_eq!(Message::new().number(1, 150).bytes(), [0x08, 0x96, 0x01]);
        let inner = Message::new().number(1, 150);
        assert_eq!(Message::new().message(3, inner).bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let packed = Message::new().numbers(6, [3, 270, 86942].into_iter());
        assert_eq!(packed.bytes(), [0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]);
        let mut out = Vec::new();
        put_field(&mut out, 2, b"testing");
        assert_eq!(out, *b"\x12\x07testing");
        assert!(Message::new().number(1, 0).bytes().is_empty());
    }
}
