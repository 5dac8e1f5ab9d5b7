//! gzip (RFC 1952): blocks of deflate (RFC 1951), each compressed by itself with the fixed codes. A profile
//! repeats itself so much that this is a fifth of it.
#![forbid(unsafe_code)]

use super::scratch::Scratch;
use super::sink::Sink;
use crate::os::Os;

/// Bytes that are compressed together, and that a match is away at most.
const BLOCK: usize = 64 * 1024;
const AWAY: usize = 32 * 1024;
/// Lengths of a match.
const SHORTEST: usize = 4;
const LONGEST: usize = 258;
/// Bits of a hash.
const HASH: u32 = 13;

pub struct Gzip<'a, S: Sink, O: Os> {
    out: &'a mut S,
    block: Scratch<'a, u8, O>,
    len: usize,
    /// By the hash of four bytes, where they were seen last in the block, plus one.
    seen: Scratch<'a, u32, O>,
    bits: u64,
    count: u32,
    checksum: u32,
    total: u32,
}

impl<'a, S: Sink, O: Os> Gzip<'a, S, O> {
    pub fn new(os: &'a O, out: &'a mut S) -> Option<Self> {
        let (block, seen) = (Scratch::new(os, BLOCK)?, Scratch::new(os, 1 << HASH)?);
        // Deflate; no name, no time, of Unix.
        out.put(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
        Some(Gzip { out, block, len: 0, seen, bits: 0, count: 0, checksum: !0, total: 0 })
    }

    /// Writes what is left, and the sums.
    pub fn finish(mut self) {
        self.put_block(1);
        self.put_bits(0, 7);
        self.out.put(&(!self.checksum).to_le_bytes());
        self.out.put(&self.total.to_le_bytes());
    }

    /// Bits, the lowest first.
    fn put_bits(&mut self, bits: u32, count: u32) {
        self.bits |= (bits as u64) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.put(&[self.bits as u8]);
            self.bits >>= 8;
            self.count -= 8;
        }
    }

    /// A code, the highest bit first.
    fn put_code(&mut self, code: u32, count: u32) {
        self.put_bits(code.reverse_bits() >> (32 - count), count);
    }

    /// A literal, the end of the block, or a length, by the fixed codes.
    fn put_symbol(&mut self, symbol: u32) {
        match symbol {
            0..144 => self.put_code(0x30 + symbol, 8),
            144..256 => self.put_code(0x190 + symbol - 144, 9),
            256..280 => self.put_code(symbol - 256, 7),
            _ => self.put_code(0xc0 + symbol - 280, 8),
        }
    }

    /// Codes of lengths and distances come in groups of so many that have one more bit each to say which.
    fn put_match(&mut self, len: usize, distance: usize) {
        if len == LONGEST {
            self.put_symbol(285);
        } else {
            let (code, extra, rest) = grouped((len - 3) as u32, 4);
            self.put_symbol(257 + code);
            self.put_bits(rest, extra);
        }
        let (code, extra, rest) = grouped((distance - 1) as u32, 2);
        self.put_code(code, 5);
        self.put_bits(rest, extra);
    }

    fn four(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.block.get(at..self.len)?.first_chunk()?))
    }

    /// Where the four bytes at a place were before, if that is near enough. The place is noted.
    fn earlier(&mut self, at: usize) -> Option<usize> {
        let four = self.four(at)?;
        let hash = four.wrapping_mul(0x9e37_79b1) >> (u32::BITS - HASH);
        let seen = self.seen.get_mut(hash as usize)?;
        let earlier = (*seen as usize).checked_sub(1);
        *seen = at as u32 + 1;
        let earlier = earlier.filter(|earlier| at - earlier <= AWAY)?;
        (self.four(earlier) == Some(four)).then_some(earlier)
    }

    /// Compresses what there is. `last`: 1 where nothing comes behind it.
    fn put_block(&mut self, last: u32) {
        self.put_bits(last, 1);
        // The fixed codes.
        self.put_bits(1, 2);
        self.seen.fill(0);
        let mut at = 0;
        while at < self.len {
            let Some(earlier) = self.earlier(at) else {
                self.put_symbol(self.block.get(at).copied().unwrap_or(0) as u32);
                at += 1;
                continue;
            };
            let bytes = self.block.get(..self.len).unwrap_or(&[]);
            let pairs = bytes.iter().skip(earlier).zip(bytes.iter().skip(at).take(LONGEST));
            let len = pairs.take_while(|(one, other)| one == other).count().max(SHORTEST);
            self.put_match(len, at - earlier);
            at += len;
        }
        self.put_symbol(256);
        self.len = 0;
    }
}

impl<S: Sink, O: Os> Sink for Gzip<'_, S, O> {
    fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.len == BLOCK {
                self.put_block(0);
            }
            if let Some(place) = self.block.get_mut(self.len) {
                *place = byte;
            }
            self.len += 1;
            self.checksum = with(self.checksum, byte);
            self.total = self.total.wrapping_add(1);
        }
    }
}

/// CRC-32, one bit after the other.
fn with(checksum: u32, byte: u8) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
    (0..8).fold(checksum ^ byte as u32, step)
}

/// The code of a number, how many bits more it has, and those: the codes come in groups of `group`, and each
/// group but the first two has a bit more than the one before.
fn grouped(number: u32, group: u32) -> (u32, u32, u32) {
    if number < 2 * group {
        return (number, 0, 0);
    }
    let top = u32::BITS - 1 - number.leading_zeros();
    let extra = top - group.trailing_zeros();
    let code = extra * group + (number >> extra);
    (code, extra, number & ((1 << extra) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sim::Sim;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let (os, mut out) = (Sim::new(), Vec::new());
        let mut gzip = Gzip::new(&os, &mut out).expect("memory");
        gzip.put(bytes);
        gzip.finish();
        out
    }

    #[test]
    fn groups_are_those_of_the_tables_in_the_standard() {
        // Lengths 3, 10, 11, 12, 257; distances 1, 4, 5, 6, 32768.
        let lengths = [0, 7, 8, 9, 254].map(|number| grouped(number, 4));
        assert_eq!(lengths, [(0, 0, 0), (7, 0, 0), (8, 1, 0), (8, 1, 1), (27, 5, 30)]);
        let distances = [0, 3, 4, 5, 32767].map(|number| grouped(number, 2));
        assert_eq!(distances, [(0, 0, 0), (3, 0, 0), (4, 1, 0), (4, 1, 1), (29, 13, 8191)]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "it starts a program")]
    fn gzip_reads_what_was_written() {
        let varied = (0..200_000u32).flat_map(|n| (n.wrapping_mul(n) >> 9).to_string().into_bytes());
        let inputs = [Vec::new(), b"a".to_vec(), vec![7; 300_000], (0..=255).collect(), varied.collect()];
        for input in inputs {
            let started =
                Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let Ok(mut child) = started else {
                println!("SKIP gzip_reads_what_was_written: missing gzip; install: apt-get install gzip");
                return;
            };
            let written = compressed(&input);
            assert!(written.len() < input.len() / 4 * 3 + 300, "{} of {}", written.len(), input.len());
            let mut stdin = child.stdin.take().expect("piped");
            let writer = std::thread::spawn(move || stdin.write_all(&written));
            let output = child.wait_with_output().expect("gzip");
            writer.join().expect("a thread").expect("written");
            assert!(output.status.success() && output.stdout == input, "{} bytes", input.len());
        }
    }
}
