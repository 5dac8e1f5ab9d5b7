//! Rules by the address that they were found for.
//!
//! An entry is two words, and any thread may write it at any time, also from a signal handler in the middle
//! of another write. So the first word is the second one's, mixed with what it is for: two words that do not
//! belong together are found to be for nothing.

use super::objects::Object;
use super::rule::Rule;
use super::tables;
use crate::base::checked::Checked;
use core::sync::atomic::{AtomicU64, Ordering};

const ENTRIES: usize = if cfg!(any(feature = "profile", test)) { 1 << 12 } else { 1 };

struct Entry {
    mixed: AtomicU64,
    rule: AtomicU64,
}

static CACHE: Checked<Entry, ENTRIES> =
    Checked([const { Entry { mixed: AtomicU64::new(0), rule: AtomicU64::new(0) } }; ENTRIES]);

/// What an entry is for: an address in an object, which may be another one tomorrow.
fn key(object: &Object, pc: usize) -> u64 {
    let mix =
        |hash: u64, word: usize| (hash.rotate_left(23) ^ word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mix(mix(mix(0, pc), object.identity), object.header)
}

/// The rule of an address in an object; None where it has none.
pub fn rule(object: &Object, pc: usize) -> Option<Rule> {
    let key = key(object, pc);
    let entry = &CACHE[(key >> 40) as usize % ENTRIES];
    // Relaxed: the two words vouch for each other.
    let (mixed, kept) = (entry.mixed.load(Ordering::Relaxed), entry.rule.load(Ordering::Relaxed));
    if kept != 0 && mixed ^ kept == key {
        return Rule::of(kept);
    }
    let rule = tables::rule(object, pc)?;
    if let Some(packed) = rule.packed() {
        entry.mixed.store(key ^ packed, Ordering::Relaxed);
        entry.rule.store(packed, Ordering::Relaxed);
    }
    Some(rule)
}
