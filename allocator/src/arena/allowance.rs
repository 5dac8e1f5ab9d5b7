//! The allowance: how much threads may have at hand of medium blocks. Such a block has pages behind it and is
//! out of the purge's reach, so all that is allowed is counted, whether a thread has it or not. Where a
//! background thread gives back what lies unused, less may be out of its reach.
#![forbid(unsafe_code)]

use crate::base::config::{MEDIUM_AT_HAND_LEAST, MEDIUM_AT_HAND_MOST};
use crate::base::keys::Key;
use crate::base::settings::Settings;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Relaxed everywhere: sums that a policy reads.
pub struct Allowance {
    bytes: AtomicUsize,
    /// How many threads may have any.
    threads: AtomicUsize,
}

impl Allowance {
    pub const fn none() -> Self {
        Allowance { bytes: AtomicUsize::new(0), threads: AtomicUsize::new(0) }
    }

    /// Bytes that all threads together may have at hand.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that a thread may have from now on, which may have `mine` so far: its part of what all may have,
    /// and no more than the others leave of it. All may have half of what may always be dirty, or a
    /// sixteenth.
    pub fn share(&self, settings: &Settings, mine: usize) -> usize {
        let part = if settings.is_on(Key::Background) { 16 } else { 2 };
        let all = settings.get(Key::DirtyFloor) / part;
        let each = all.checked_div(self.threads.load(Ordering::Relaxed)).unwrap_or(all);
        let others = self.bytes().saturating_sub(mine);
        each.min(all.saturating_sub(others)).clamp(MEDIUM_AT_HAND_LEAST, MEDIUM_AT_HAND_MOST)
    }

    /// A thread that might have so many bytes may have others now.
    pub fn change(&self, before: usize, now: usize) {
        if now != before {
            let threads = isize::from(now > 0) - isize::from(before > 0);
            self.bytes.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
            self.threads.fetch_add(threads as usize, Ordering::Relaxed);
        }
    }

    /// Forgets all, in the child of a fork that may have copied it between two changes. Each thread's is
    /// counted anew then.
    pub fn forget(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.threads.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::builder::Config;

    #[test]
    fn threads_share_half_of_the_floor() {
        let (settings, allowance) = (Settings::new(), Allowance::none());
        let half = settings.get(Key::DirtyFloor) / 2;
        let mut had = [0; 20];
        let look = |had: &mut usize| {
            let now = allowance.share(&settings, *had);
            allowance.change(core::mem::replace(had, now), now);
            assert!(allowance.bytes() <= half + 20 * MEDIUM_AT_HAND_LEAST);
        };
        // Who comes first has much, until it looks again.
        had.iter_mut().for_each(look);
        assert_eq!(
            [had[0], had[1], had[2]],
            [MEDIUM_AT_HAND_MOST, half - MEDIUM_AT_HAND_MOST, MEDIUM_AT_HAND_LEAST]
        );
        (0..2).for_each(|_| had.iter_mut().for_each(look));
        assert!(had.iter().all(|&bytes| bytes == half / had.len()), "{had:?}");
        assert_eq!(allowance.bytes(), had.iter().sum());
        had.iter().skip(1).for_each(|&before| allowance.change(before, 0));
        assert_eq!((allowance.bytes(), allowance.share(&settings, had[0])), (had[0], MEDIUM_AT_HAND_MOST));
        allowance.forget();
        [0, 5, 7].into_iter().for_each(|bytes| allowance.change(0, bytes));
        assert_eq!((allowance.bytes(), allowance.threads.load(Ordering::Relaxed)), (12, 2));
    }

    #[test]
    fn beside_a_background_thread_they_have_little() {
        let settings = Settings::new();
        settings.take_code(&Config::new().background(true));
        assert_eq!(Allowance::none().share(&settings, 0), settings.get(Key::DirtyFloor) / 16);
    }

    #[test]
    fn where_nothing_may_be_dirty_a_thread_has_the_least() {
        let settings = Settings::new();
        settings.take_code(&Config::new().dirty_floor(0));
        assert_eq!(Allowance::none().share(&settings, 0), MEDIUM_AT_HAND_LEAST);
    }
}
