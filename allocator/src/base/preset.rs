//! The presets: values for several keys at once. What each costs and gives, measured: decision 0043.
#![forbid(unsafe_code)]

use crate::base::keys::{HUGE_PAGES_ALWAYS, HUGE_PAGES_OFF, HUGE_PAGES_RECYCLED, Key, PRESETS};

/// The keys that a preset sets, by its place among `PRESETS`.
pub const fn values(preset: usize) -> &'static [(Key, usize)] {
    match preset {
        1 => SMALL,
        2 => SERVER,
        3 => THROUGHPUT,
        _ => NONE,
    }
}

/// The defaults. Each preset sets the same keys, so that one in a later source undoes all of another.
const NONE: &[(Key, usize)] = &[
    (Key::DirtyFloor, Key::DirtyFloor.row().default),
    (Key::DirtyShare, Key::DirtyShare.row().default),
    (Key::Swing, Key::Swing.row().default),
    (Key::ThreadCache, Key::ThreadCache.row().default),
    (Key::HugePages, Key::HugePages.row().default),
    (Key::Background, Key::Background.row().default),
    (Key::Decay, Key::Decay.row().default),
];

/// As little as can be: what is free goes back soon, and threads keep little.
const SMALL: &[(Key, usize)] = &[
    (Key::DirtyFloor, 1 << 20),
    (Key::DirtyShare, 32),
    (Key::Swing, 0),
    (Key::ThreadCache, 16 << 10),
    (Key::HugePages, HUGE_PAGES_OFF),
    (Key::Background, 0),
    (Key::Decay, 1_000),
];

/// For a process that lives long beside others: fast while it works, and small while it rests.
const SERVER: &[(Key, usize)] = &[
    (Key::DirtyFloor, 32 << 20),
    (Key::DirtyShare, 256),
    (Key::Swing, 128 << 20),
    (Key::ThreadCache, 32 << 10),
    (Key::HugePages, HUGE_PAGES_RECYCLED),
    (Key::Background, 1),
    (Key::Decay, 10_000),
];

/// What was freed may stay, up to half of what is live, and 256 MiB at least.
const THROUGHPUT: &[(Key, usize)] = &[
    (Key::DirtyFloor, 256 << 20),
    (Key::DirtyShare, 512),
    (Key::Swing, 256 << 20),
    (Key::ThreadCache, 32 << 10),
    (Key::HugePages, HUGE_PAGES_ALWAYS),
    (Key::Background, 0),
    (Key::Decay, 10_000),
];

const _: () = assert!(PRESETS.len() == 4, "each preset has its values");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_set_the_same_keys_and_none_sets_the_defaults() {
        for (preset, name) in PRESETS.iter().enumerate() {
            let keys = values(preset).iter().map(|(key, _)| *key);
            assert!(keys.eq(NONE.iter().map(|(key, _)| *key)), "{name}");
        }
        assert!(NONE.iter().all(|(key, word)| key.row().default == *word));
    }
}
