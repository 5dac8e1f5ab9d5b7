//! How one frame leads to its caller's.
#![forbid(unsafe_code)]

/// What the caller's stack pointer at the call (DWARF's canonical frame address) is counted from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// The stack ends here.
    End,
    Sp,
    Fp,
    /// The word at an offset from the frame pointer, as in functions that align their stack.
    AtFp,
    /// What a signal interrupted: the kernel's frame says it.
    Signal,
}

/// Where a register of the caller's is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Saved {
    /// Where it was.
    Same,
    /// At an offset from the caller's stack pointer; from the frame pointer where that leads to the former.
    At(i32),
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    pub base: Base,
    pub offset: i32,
    pub fp: Saved,
    /// The return address.
    pub ra: Saved,
}

/// Bits of a packed offset.
const WIDE: u32 = 24;
const NARROW: u32 = 16;

/// Offsets of registers are packed in words; these two are none.
const SAME: i64 = i16::MIN as i64;
const LOST: i64 = SAME + 1;

impl Saved {
    fn packed(self) -> Option<u64> {
        let number = match self {
            Saved::Same => SAME,
            Saved::Lost => LOST,
            Saved::At(offset) => {
                let words = offset as i64 / 8;
                let fits = offset % 8 == 0 && words > LOST && words <= i16::MAX as i64;
                fits.then_some(words)?
            }
        };
        Some(number as u16 as u64)
    }

    fn of(packed: u64) -> Saved {
        match packed as u16 as i16 as i64 {
            SAME => Saved::Same,
            LOST => Saved::Lost,
            words => Saved::At(words as i32 * 8),
        }
    }
}

impl Rule {
    pub const END: Rule = Rule { base: Base::End, offset: 0, fp: Saved::Lost, ra: Saved::Lost };

    /// In one word, never 0. None where an offset is too long for that.
    pub fn packed(&self) -> Option<u64> {
        let offset = self.offset;
        if offset << (32 - WIDE) >> (32 - WIDE) != offset {
            return None;
        }
        let base = self.base as u64 + 1;
        let low = (offset as u32 as u64) & ((1 << WIDE) - 1);
        Some(base << 56 | low << (2 * NARROW) | self.fp.packed()? << NARROW | self.ra.packed()?)
    }

    pub fn of(packed: u64) -> Option<Rule> {
        let base = match packed >> 56 {
            1 => Base::End,
            2 => Base::Sp,
            3 => Base::Fp,
            4 => Base::AtFp,
            5 => Base::Signal,
            _ => return None,
        };
        let offset = ((packed >> (2 * NARROW)) as u32) << (32 - WIDE);
        let offset = offset as i32 >> (32 - WIDE);
        Some(Rule { base, offset, fp: Saved::of(packed >> NARROW), ra: Saved::of(packed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fits_a_word_or_says_so() {
        let saved = [Saved::Same, Saved::Lost, Saved::At(-16), Saved::At(8000), Saved::At(0)];
        for base in [Base::End, Base::Sp, Base::Fp, Base::AtFp, Base::Signal] {
            for (fp, ra) in saved.into_iter().zip(saved.into_iter().rev()) {
                for offset in [0, 8, -8, 8_000_000, -8_000_000] {
                    let rule = Rule { base, offset, fp, ra };
                    assert_eq!(rule.packed().and_then(Rule::of), Some(rule));
                }
            }
        }
        let rule = Rule { base: Base::Sp, offset: 1 << 23, fp: Saved::Same, ra: Saved::At(-8) };
        assert_eq!(rule.packed(), None);
        assert_eq!(Rule { offset: 8, ra: Saved::At(-9), ..rule }.packed(), None);
        assert_eq!((Rule::of(0), Rule::of(9 << 56)), (None, None));
    }
}
