//! gzip (RFC 1952): blocks of deflate (RFC 1951), each compressed by itself with the fixed codes. A profile
//! repeats itself so much that this is a fifth of it. One that fits a page goes as it is: a file takes a page
//! of its disk however short it is.
#![forbid(unsafe_code)]

use super::scratch::Scratch;
use super::sink::{Sink, fill};
use crate::base::checked::Checked;
use crate::os::Os;

/// Bytes that are compressed together, and that a match is away at most.
const BLOCK: usize = 64 * 1024;
const AWAY: usize = 32 * 1024;
/// Lengths of a match.
const SHORTEST: usize = 4;
const LONGEST: usize = 258;
/// Bits of a hash.
const HASH: u32 = 13;
/// Bytes that are not compressed where they are all.
const SHORT: usize = 4096 - 64;

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
        if self.total as usize == self.len && self.len <= SHORT {
            self.put_stored();
        } else {
            self.put_block(1);
        }
        self.put_bits(0, 7);
        let whole = self.count / 8;
        let rest = self.bits.to_le_bytes();
        self.out.put(rest.get(..whole as usize).unwrap_or(&[]));
        self.out.put(&(!self.checksum).to_le_bytes());
        self.out.put(&self.total.to_le_bytes());
    }

    /// Bits, the lowest first.
    fn put_bits(&mut self, bits: u32, count: u32) {
        self.bits |= (bits as u64) << self.count;
        self.count += count;
        if self.count >= u32::BITS {
            self.out.put(&(self.bits as u32).to_le_bytes());
            self.bits >>= u32::BITS;
            self.count -= u32::BITS;
        }
    }

    /// A literal, the end of the block, or a length, by the fixed codes.
    fn put_symbol(&mut self, symbol: u32) {
        let (code, count) = SYMBOLS[symbol as usize];
        self.put_bits(code as u32, count as u32);
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
        self.put_bits(reversed(code, 5), 5);
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

    /// Writes what there is as it is: behind a whole byte its length, and that again with each bit turned.
    fn put_stored(&mut self) {
        self.put_bits(1, 8);
        self.put_bits(self.len as u32, 16);
        self.put_bits(!self.len as u32 & 0xffff, 16);
        // 40 bits, of which 8 were not written yet.
        self.out.put(&[self.bits as u8]);
        (self.bits, self.count) = (0, 0);
        self.out.put(self.block.get(..self.len).unwrap_or(&[]));
    }

    /// Compresses what there is. `last`: 1 where nothing comes behind it.
    fn put_block(&mut self, last: u32) {
        self.put_bits(last, 1);
        // The fixed codes.
        self.put_bits(1, 2);
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
        if last == 0 {
            self.seen.fill(0);
        }
    }
}

impl<S: Sink, O: Os> Sink for Gzip<'_, S, O> {
    fn put(&mut self, bytes: &[u8]) {
        self.checksum = bytes.iter().fold(self.checksum, |sum, &byte| with(sum, byte));
        self.total = self.total.wrapping_add(bytes.len() as u32);
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.len == BLOCK {
                self.put_block(0);
            }
            self.len += fill(self.block.get_mut(self.len..).unwrap_or(&mut []), &mut rest);
        }
    }
}

/// The lowest `count` bits of a code, the highest first.
const fn reversed(code: u32, count: u32) -> u32 {
    code.reverse_bits() >> (u32::BITS - count)
}

/// The fixed codes: bits as they are written, and how many.
static SYMBOLS: Checked<(u16, u8), 286> = {
    let mut symbols = [(0, 0); 286];
    let mut symbol = 0;
    while symbol < symbols.len() as u32 {
        let (code, count) = match symbol {
            0..144 => (0x30 + symbol, 8),
            144..256 => (0x190 + symbol - 144, 9),
            256..280 => (symbol - 256, 7),
            _ => (0xc0 + symbol - 280, 8),
        };
        symbols[symbol as usize] = (reversed(code, count) as u16, count as u8);
        symbol += 1;
    }
    Checked(symbols)
};

/// CRC-32 of each byte.
static SUMS: Checked<u32, 256> = {
    let mut sums = [0; 256];
    let mut byte = 0;
    while byte < sums.len() {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
            bit += 1;
        }
        sums[byte] = sum;
        byte += 1;
    }
    Checked(sums)
};

fn with(checksum: u32, byte: u8) -> u32 {
    (checksum >> 8) ^ SUMS[(checksum as u8 ^ byte) as usize]
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
        let edge = |len: usize| (0..len).map(|n| (n >> 4) as u8).collect();
        let inputs = [
            Vec::new(),
            b"a".to_vec(),
            vec![7; 300_000],
            edge(SHORT),
            edge(SHORT + 1),
            edge(BLOCK),
            edge(BLOCK + 1),
            varied.collect(),
        ];
        for input in inputs {
            let started =
                Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let Ok(mut child) = started else {
                println!("SKIP gzip_reads_what_was_written: missing gzip; install: apt-get install gzip");
                return;
            };
            let written = compressed(&input);
            let most = if input.len() > SHORT { input.len() / 4 * 3 } else { input.len() };
            assert!(written.len() <= most + 23, "{} of {}", written.len(), input.len());
            let mut stdin = child.stdin.take().expect("piped");
            let writer = std::thread::spawn(move || stdin.write_all(&written));
            let output = child.wait_with_output().expect("gzip");
            writer.join().expect("a thread").expect("written");
            assert!(output.status.success() && output.stdout == input, "{} bytes", input.len());
        }
    }
}
