//! What is said of many granules at once: the longest free run among those that start there, and whether a
//! purge of any of them brings something.
#![forbid(unsafe_code)]

/// The longest run in the upper bits, "dirty" in the lowest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Summary(u16);

impl Summary {
    pub const NOTHING: Summary = Summary(0);
    /// Whatever is asked for may be there.
    pub const ANY: Summary = Summary(u16::MAX);

    pub fn new(longest: u16, dirty: bool) -> Self {
        Summary(longest << 1 | dirty as u16)
    }

    /// What several say together.
    #[inline]
    pub fn of(entries: &[Summary]) -> Self {
        let (highest, any) = entries.iter().fold((0, 0), |(highest, any), one| {
            // As signed numbers: what the oldest vector instructions can do.
            ((one.0 as i16).max(highest), any | one.0)
        });
        Summary(highest as u16 & !1 | any & 1)
    }

    #[inline]
    pub fn has_run(self, len: u32) -> bool {
        (self.0 >> 1) as u32 >= len
    }

    #[inline]
    pub fn is_dirty(self) -> bool {
        self.0 & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_they_have_the_longest_run_and_any_dirt() {
        let all = Summary::of(&[Summary::new(3, true), Summary::NOTHING, Summary::new(1024, false)]);
        assert_eq!(all, Summary::new(1024, true));
        assert!(all.has_run(1024) && !all.has_run(1025) && all.is_dirty());
    }
}
