//! Where a profile goes.
#![forbid(unsafe_code)]

/// Takes bytes. What goes wrong it keeps to itself, and takes no more then.
pub trait Sink {
    fn put(&mut self, bytes: &[u8]);

    /// A number in decimal digits.
    fn put_number(&mut self, number: u64) {
        let (mut digits, mut rest, mut count) = ([0u8; 20], number, 0);
        for place in digits.iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            count += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.put(digits.get(digits.len() - count..).unwrap_or(&[]));
    }

    /// A number in hexadecimal, behind `0x`.
    fn put_hexadecimal(&mut self, number: u64) {
        self.put(b"0x");
        let count = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
        for at in (0..count).rev() {
            let digit = (number >> (4 * at)) as u8 & 0xf;
            self.put(&[if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }]);
        }
    }
}

/// Fills a room from the start of what is left, as far as both go, and takes that off. How many bytes.
pub fn fill(room: &mut [u8], rest: &mut &[u8]) -> usize {
    let count = room.len().min(rest.len());
    room.iter_mut().zip(*rest).for_each(|(place, &byte)| *place = byte);
    *rest = rest.get(count..).unwrap_or(&[]);
    count
}

#[cfg(test)]
impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 7, 10, 4096, 0xdead_beef, u64::MAX] {
            let (mut decimal, mut hexadecimal) = (Vec::new(), Vec::new());
            decimal.put_number(number);
            hexadecimal.put_hexadecimal(number);
            assert_eq!(decimal, number.to_string().into_bytes());
            assert_eq!(hexadecimal, format!("{number:#x}").into_bytes());
        }
    }
}
