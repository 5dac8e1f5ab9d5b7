//! Text on the stack. Not core's formatting: it can panic, and brings some 200 KiB of std along.
#![forbid(unsafe_code)]

use core::ffi::CStr;

/// A C string of ours as text: nothing where it is none.
pub const fn text_of(string: &'static CStr) -> &'static str {
    match string.to_str() {
        Ok(text) => text,
        Err(_) => "",
    }
}

/// Text of up to `N` bytes.
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Text::new()
    }
}

impl<const N: usize> Text<N> {
    /// None yet.
    pub const fn new() -> Self {
        Text { bytes: [0; N], len: 0 }
    }

    /// What it has.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Bytes that fit still.
    pub fn room(&self) -> usize {
        N - self.len
    }

    /// The same as text: nothing where it is none.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.bytes()).unwrap_or("")
    }

    /// What does not fit is left out.
    pub fn push(&mut self, text: &str) {
        let end = self.len + text.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            for (to, from) in room.iter_mut().zip(text.bytes()) {
                *to = from;
            }
            self.len = end;
        }
    }

    /// Bytes of somebody else's: what cannot be shown is a `?`, and of a long text the first `most` stay.
    pub fn push_shown(&mut self, text: &[u8], most: usize) {
        let shown = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { *byte } else { b'?' };
        self.push_bytes(text.iter().take(most).map(shown));
        if text.len() > most {
            self.push("...");
        }
    }

    /// Bytes as they are. What does not fit is left out.
    pub fn push_bytes(&mut self, bytes: impl Iterator<Item = u8>) {
        for byte in bytes {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
    }

    /// Blanks, until so many bytes are there.
    pub fn pad(&mut self, columns: usize) {
        while self.len < columns.min(N) {
            self.push(" ");
        }
    }

    /// A number, right-aligned in at least so many columns.
    pub fn number(&mut self, number: usize, columns: usize) {
        const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let (mut digits, mut rest, mut count) = ([""; 20], number, 0);
        for digit in &mut digits {
            if rest > 0 || count == 0 {
                *digit = DIGITS.get(rest % 10).unwrap_or(&"");
                count += 1;
            }
            rest /= 10;
        }
        for _ in count..columns {
            self.push(" ");
        }
        for digit in digits.iter().rev() {
            self.push(digit);
        }
    }

    /// An address, or another number, in hexadecimal behind `0x`.
    pub fn hexadecimal(&mut self, number: usize) {
        const DIGITS: &str = "0123456789abcdef";
        self.push("0x");
        let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            let at = number >> (digit * 4) & 15;
            self.push(DIGITS.get(at..at + 1).unwrap_or(""));
        }
    }
}

/// What does not fit is left out, and no error.
impl<const N: usize> core::fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.push(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal_and_aligned() {
        let mut out = Text::<200>::new();
        for number in [0, 9, 10, 1_234_567_890, usize::MAX] {
            out.push("|");
            out.number(number, 12);
        }
        out.push("|");
        out.number(1234, 0);
        let text = core::str::from_utf8(out.bytes()).unwrap();
        assert_eq!(text, "|           0|           9|          10|  1234567890|18446744073709551615|1234");
    }

    #[test]
    fn addresses_are_written_in_hexadecimal() {
        for number in [0, 9, 10, 0xabc, 0x7fff_1234_5678, usize::MAX] {
            let mut out = Text::<32>::new();
            out.hexadecimal(number);
            assert_eq!(out.bytes(), format!("{number:#x}").as_bytes());
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut out = Text::<4>::new();
        out.push("abc");
        out.push("de");
        out.push("f");
        assert_eq!(out.bytes(), b"abcf");
    }

    #[test]
    fn what_somebody_else_wrote_is_made_plain() {
        let mut out = Text::<20>::new();
        out.push_shown(b"a b\x1b[31m\n", 20);
        out.push_shown(b"long", 2);
        out.pad(16);
        out.push("|");
        assert_eq!(out.bytes(), b"a b?[31m?lo...  |");
    }
}
