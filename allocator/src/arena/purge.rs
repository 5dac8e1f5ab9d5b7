//! How much dirty memory may stay: the bound that keeps an idle process small without a thread.
//!
//! Dirty is what is free but still has pages behind it: free runs of the arena, cached mappings. It
//! is checked wherever memory is freed, so a process that stops after its last free is inside the
//! bound already.

use crate::config::{DIRTY_FLOOR, DIRTY_SHIFT};

/// Bytes of dirty memory allowed beside `live` bytes in use.
pub fn bound(live: usize) -> usize {
    (live >> DIRTY_SHIFT).max(DIRTY_FLOOR)
}

/// Down to where a purge goes, once the bound is passed: an eighth below, so that the next frees do
/// not each pay a system call.
pub fn target(bound: usize) -> usize {
    bound - bound / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_heap_keeps_the_floor_and_a_large_one_an_eighth() {
        assert_eq!(bound(0), DIRTY_FLOOR);
        assert_eq!(bound(1 << 30), 128 << 20);
        assert!(target(bound(0)) < bound(0));
    }
}
