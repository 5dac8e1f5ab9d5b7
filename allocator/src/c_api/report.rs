//! The figures in the ways of malloc's family: `mallinfo2` as a struct, `malloc_stats` as text on standard
//! error, from a buffer on the stack.

use crate::stats::Stats;

/// Text on the stack. Not core's formatting: it can panic, and brings some 200 KiB of std along.
struct Text {
    bytes: [u8; 1024],
    len: usize,
}

impl Text {
    /// What does not fit is left out.
    fn push(&mut self, text: &str) {
        let end = self.len + text.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            for (to, from) in room.iter_mut().zip(text.bytes()) {
                *to = from;
            }
            self.len = end;
        }
    }

    /// A label and a number, right-aligned in twelve columns.
    fn number(&mut self, label: &str, number: usize) {
        const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        self.push(label);
        let (mut digits, mut rest, mut count) = ([""; 20], number, 0);
        for digit in &mut digits {
            if rest > 0 || count == 0 {
                *digit = DIGITS.get(rest % 10).unwrap_or(&"");
                count += 1;
            }
            rest /= 10;
        }
        for _ in count..12 {
            self.push(" ");
        }
        for digit in digits.iter().rev() {
            self.push(digit);
        }
    }
}

/// mallinfo2(3)'s struct.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct MallInfo2 {
    pub arena: usize,
    pub ordblks: usize,
    pub smblks: usize,
    pub hblks: usize,
    pub hblkhd: usize,
    pub usmblks: usize,
    pub fsmblks: usize,
    pub uordblks: usize,
    pub fordblks: usize,
    pub keepcost: usize,
}

pub fn mallinfo2<W>() -> MallInfo2 {
    let stats = Stats::read();
    let in_arena = stats.live_bytes() - stats.large_bytes;
    MallInfo2 {
        arena: stats.arena_bytes,
        hblks: stats.large_blocks,
        hblkhd: stats.large_bytes,
        usmblks: stats.arena_peak_bytes,
        uordblks: in_arena,
        fordblks: stats.arena_bytes.saturating_sub(in_arena),
        keepcost: stats.top_bytes,
        ..MallInfo2::default()
    }
}

pub fn malloc_stats<W>() {
    let stats = Stats::read();
    let mut out = Text { bytes: [0; 1024], len: 0 };
    out.push("brkmap: break            ");
    out.push(stats.break_mode.map_or("not started", |mode| mode.name()));
    out.number("\nbrkmap: arena bytes      ", stats.arena_bytes);
    out.number("  in use ", stats.arena_used_bytes);
    out.number("  peak ", stats.arena_peak_bytes);
    out.number("\nbrkmap: slab bytes       ", stats.slab_bytes);
    out.number("  in use ", stats.small_bytes);
    out.number("\nbrkmap: mappings         ", stats.large_blocks);
    out.number("  bytes  ", stats.large_bytes);
    out.number("\nbrkmap: cached mappings  ", stats.cached_blocks);
    out.number("  bytes  ", stats.cached_bytes);
    out.number("\nbrkmap: dirty bytes      ", stats.dirty_bytes);
    out.number("  heaps  ", stats.heaps as usize);
    out.push("\n");
    // SAFETY: the initialised part of the buffer.
    unsafe { libc::write(2, out.bytes.as_ptr().cast(), out.len) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal_and_aligned() {
        let mut out = Text { bytes: [0; 1024], len: 0 };
        for number in [0, 9, 10, 1_234_567_890, usize::MAX] {
            out.number("|", number);
        }
        let text = core::str::from_utf8(&out.bytes[..out.len]).unwrap();
        assert_eq!(text, "|           0|           9|          10|  1234567890|18446744073709551615");
    }
}
