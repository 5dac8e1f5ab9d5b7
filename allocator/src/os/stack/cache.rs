//! Rules by the address that they were found for.
//!
//! An entry is two words, and any thread may write it at any time, also from a signal handler in the middle
//! of another write. So the first word is the second one's, mixed with what it is for: two words that do not
//! belong together are found to be for nothing.
//!
//! The entries are mapped when a profile starts. Without them each rule is looked up in its table.
#![allow(unsafe_code)]

use super::objects::Object;
use super::rule::Rule;
use super::tables;
use crate::base::checked::Checked;
use crate::base::why::OF_PROFILE;
use crate::os::Os;
use crate::os::mapped::{Mapped, Zeroed};
use core::sync::atomic::{AtomicU64, Ordering};

const ENTRIES: usize = 1 << 12;

struct Entry {
    mixed: AtomicU64,
    rule: AtomicU64,
}

// SAFETY: two atomic words.
unsafe impl Zeroed for Entry {}

static CACHE: Mapped<Checked<Entry, ENTRIES>> = Mapped::nothing();

/// Makes room for rules, if there is memory.
pub fn make_room<O: Os>(os: &O) {
    CACHE.make(os, 1, OF_PROFILE);
}

/// Gives the room back.
///
/// # Safety
/// Nobody follows a stack, or will.
pub unsafe fn unload<O: Os>(os: &O) {
    // SAFETY: as the caller vouches.
    unsafe { CACHE.unmap(os, 1, OF_PROFILE) };
}

/// What an entry is for: an address in an object, which may be another one tomorrow.
fn key(object: &Object, pc: usize) -> u64 {
    let mix =
        |hash: u64, word: usize| (hash.rotate_left(23) ^ word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mix(mix(mix(0, pc), object.identity), object.header)
}

/// The rule of an address in an object; None where it has none.
pub fn rule(object: &Object, pc: usize) -> Option<Rule> {
    let key = key(object, pc);
    let entry = CACHE.get().map(|cache| &cache[(key >> 40) as usize % ENTRIES]);
    if let Some(entry) = entry {
        // Relaxed: the two words vouch for each other.
        let (mixed, kept) = (entry.mixed.load(Ordering::Relaxed), entry.rule.load(Ordering::Relaxed));
        if kept != 0 && mixed ^ kept == key {
            return Rule::of(kept);
        }
    }
    let rule = tables::rule(object, pc)?;
    if let Some((entry, packed)) = entry.zip(rule.packed()) {
        entry.mixed.store(key ^ packed, Ordering::Relaxed);
        entry.rule.store(packed, Ordering::Relaxed);
    }
    Some(rule)
}
