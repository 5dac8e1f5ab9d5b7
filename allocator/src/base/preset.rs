//! The presets: values for several keys at once. What each costs and gives, measured: decision 0052.
#![forbid(unsafe_code)]

use crate::base::keys::{Key, PRESETS};

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
    (Key::ThreadCache, Key::ThreadCache.row().default),
    (Key::HugePages, Key::HugePages.row().default),
];

/// As little as can be: what is free goes back at once, and threads keep little.
const SMALL: &[(Key, usize)] =
    &[(Key::DirtyFloor, 1 << 20), (Key::DirtyShare, 32), (Key::ThreadCache, 8 << 10), (Key::HugePages, 0)];

/// For a process that lives long beside others.
const SERVER: &[(Key, usize)] =
    &[(Key::DirtyFloor, 16 << 20), (Key::DirtyShare, 128), (Key::ThreadCache, 32 << 10), (Key::HugePages, 1)];

/// What was freed may stay, up to half of what is live.
const THROUGHPUT: &[(Key, usize)] =
    &[(Key::DirtyFloor, 64 << 20), (Key::DirtyShare, 512), (Key::ThreadCache, 32 << 10), (Key::HugePages, 1)];

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
