//! The values in force: a word for each key, and who set it last.
//!
//! A key set by code gives way to one in the file, and so on down the list of `Origin`; what the program sets
//! while it runs is the last word. A preset stands below the keys of its own source, and above all of those
//! before it.
#![forbid(unsafe_code)]

use crate::base::builder::Config;
use crate::base::keys::{COUNT, Key, Kind, PRESETS, TEXT_MOST, TEXTS};
use crate::base::text::Text;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// Who set a key: each one wins over those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Origin {
    /// Nobody.
    Default,
    /// `BrkMap::with`.
    Code,
    /// /etc/brkmap.conf.
    File,
    /// glibc's MALLOC_…_.
    Glibc,
    /// GLIBC_TUNABLES.
    Tunables,
    /// BRKMAP_CONF.
    Conf,
    /// BRKMAP_ and the key in capitals.
    Variable,
    /// mallopt, while the program runs.
    Program,
}

impl Origin {
    const ALL: [Origin; 8] = [
        Origin::Default,
        Origin::Code,
        Origin::File,
        Origin::Glibc,
        Origin::Tunables,
        Origin::Conf,
        Origin::Variable,
        Origin::Program,
    ];
}

/// Whether a source names a key itself, or a preset that sets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// It names the key.
    Key,
    /// It names a preset.
    Preset,
}

/// The bit of an origin that says it was by a preset.
const BY_PRESET: u8 = 0x80;

/// Relaxed everywhere: each value stands alone, and publishes nothing.
pub struct Settings {
    words: [AtomicUsize; COUNT],
    origins: [AtomicU8; COUNT],
    texts: [Slot; TEXTS],
}

/// A text: its length and its bytes.
struct Slot {
    len: AtomicU8,
    bytes: [AtomicU8; TEXT_MOST],
}

impl Default for Settings {
    fn default() -> Self {
        Settings::new()
    }
}

impl Settings {
    /// The defaults.
    pub const fn new() -> Self {
        let mut words = [const { AtomicUsize::new(0) }; COUNT];
        let mut at = 0;
        while at < COUNT {
            words[at] = AtomicUsize::new(Key::ALL[at].row().default);
            at += 1;
        }
        Settings {
            words,
            origins: [const { AtomicU8::new(Origin::Default as u8) }; COUNT],
            texts: [const { Slot { len: AtomicU8::new(0), bytes: [const { AtomicU8::new(0) }; TEXT_MOST] } };
                TEXTS],
        }
    }

    /// The word of a key, in its row's unit.
    #[inline(always)]
    pub fn get(&self, key: Key) -> usize {
        self.words.get(key as usize).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Whether a switch is on.
    #[inline]
    pub fn is_on(&self, key: Key) -> bool {
        self.get(key) != 0
    }

    /// The bytes of a text; none where it is not set.
    pub fn text(&self, key: Key) -> Text<TEXT_MOST> {
        let mut text = Text::new();
        if let Some(slot) = self.texts.get(key.slot()) {
            let len = slot.len.load(Ordering::Relaxed) as usize;
            text.push_bytes(slot.bytes.iter().take(len).map(|byte| byte.load(Ordering::Relaxed)));
        }
        text
    }

    /// Who set a key.
    pub fn origin(&self, key: Key) -> (Origin, By) {
        let word = self.origins.get(key as usize).map_or(0, |origin| origin.load(Ordering::Relaxed));
        let origin = Origin::ALL.into_iter().find(|origin| *origin as u8 == word & !BY_PRESET);
        let by = if word & BY_PRESET == 0 { By::Key } else { By::Preset };
        (origin.unwrap_or(Origin::Default), by)
    }

    /// Writes who set a key.
    pub fn write_origin<const N: usize>(&self, out: &mut Text<N>, key: Key) {
        let (origin, by) = self.origin(key);
        if by == By::Preset {
            out.push("preset:");
            out.push(PRESETS.get(self.get(Key::Preset)).unwrap_or(&""));
            out.push(" of ");
        }
        let key = if by == By::Preset { Key::Preset } else { key };
        match origin {
            Origin::Default => out.push("default"),
            Origin::Code => out.push("the program's code"),
            Origin::File => out.push("/etc/brkmap.conf"),
            Origin::Glibc => out.push(key.row().glibc[0]),
            Origin::Tunables => out.push("GLIBC_TUNABLES"),
            Origin::Conf => out.push("BRKMAP_CONF"),
            Origin::Variable => {
                out.push("BRKMAP_");
                out.push_bytes(key.row().name.bytes().map(|byte| byte.to_ascii_uppercase()));
            }
            Origin::Program => out.push("mallopt"),
        }
    }

    /// Sets a key to a word that its row allows, whoever set it before.
    pub fn set(&self, key: Key, word: usize, origin: Origin, by: By) {
        if let (Some(place), Some(whose)) = (self.words.get(key as usize), self.origins.get(key as usize)) {
            place.store(word, Ordering::Relaxed);
            let by = if by == By::Preset { BY_PRESET } else { 0 };
            whose.store(origin as u8 | by, Ordering::Relaxed);
        }
    }

    /// Sets a text. Its word says that it is there.
    pub fn set_text(&self, key: Key, text: &[u8], origin: Origin) {
        let Some(slot) = self.texts.get(key.slot()) else { return };
        let text = text.get(..TEXT_MOST).unwrap_or(text);
        for (place, byte) in slot.bytes.iter().zip(text) {
            place.store(*byte, Ordering::Relaxed);
        }
        slot.len.store(text.len() as u8, Ordering::Relaxed);
        self.set(key, 1, origin, By::Key);
    }

    /// Takes what code says, where nobody else has said anything.
    pub fn take_code(&self, config: &Config) {
        for (key, word) in config.words() {
            if self.origin(key).0 == Origin::Default {
                self.set(key, word, Origin::Code, By::Key);
            }
        }
        for (key, text) in config.texts() {
            if self.origin(key).0 == Origin::Default {
                self.set_text(key, text.as_bytes(), Origin::Code);
            }
        }
    }

    /// The first key that code sets and that other code has set to something else, or not at all.
    pub fn differs_in_code(&self, config: &Config) -> Option<Key> {
        let differs = |key, is_same: bool| match self.origin(key).0 {
            Origin::Default => true,
            Origin::Code => !is_same,
            _ => false,
        };
        let words = config.words().find(|(key, word)| differs(*key, self.get(*key) == *word));
        let texts =
            || config.texts().find(|(key, text)| differs(*key, self.text(*key).bytes() == text.as_bytes()));
        words.map(|(key, _)| key).or_else(|| texts().map(|(key, _)| key))
    }

    /// In bytes.
    #[inline]
    pub fn mmap_threshold(&self) -> usize {
        self.get(Key::MmapThreshold)
    }

    /// What glibc's mallopt may set: up to the most there is, or nothing changes and the answer is false.
    /// What is less than the least is the least.
    pub fn set_by_program(&self, key: Key, bytes: usize) -> bool {
        let Kind::Bytes(least, most) = key.row().kind else { return false };
        if bytes > most {
            return false;
        }
        self.set(key, bytes.max(least), Origin::Program, By::Key);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::{MMAP_THRESHOLD_MAX, MMAP_THRESHOLD_MIN};

    #[test]
    fn a_program_sets_what_glibc_takes_and_the_rest_is_refused() {
        let settings = Settings::new();
        assert_eq!(settings.mmap_threshold(), 128 * 1024);
        assert!(settings.set_by_program(Key::MmapThreshold, 1 << 20));
        assert_eq!(settings.mmap_threshold(), 1 << 20);
        assert_eq!(settings.origin(Key::MmapThreshold), (Origin::Program, By::Key));
        assert!(!settings.set_by_program(Key::MmapThreshold, MMAP_THRESHOLD_MAX + 1));
        assert_eq!(settings.mmap_threshold(), 1 << 20);
        assert!(settings.set_by_program(Key::MmapThreshold, 0));
        assert_eq!(settings.mmap_threshold(), MMAP_THRESHOLD_MIN);
        assert!(!settings.set_by_program(Key::Preset, 0), "it is no number of bytes");
    }

    #[test]
    fn code_gives_way_to_all_who_said_something() {
        let settings = Settings::new();
        settings.set(Key::MmapThreshold, 65_536, Origin::File, By::Key);
        settings.set(Key::DirtyShare, 1, Origin::Conf, By::Preset);
        settings.take_code(
            &Config::new().mmap_threshold(1 << 20).dirty_share(50).dirty_floor(1 << 20).name("db"),
        );
        assert_eq!(settings.mmap_threshold(), 65_536);
        assert_eq!(settings.get(Key::DirtyShare), 1);
        assert_eq!(
            (settings.get(Key::DirtyFloor), settings.origin(Key::DirtyFloor).0),
            (1 << 20, Origin::Code)
        );
        assert_eq!(settings.text(Key::Name).bytes(), b"db");
        assert_eq!(settings.origin(Key::DirtyShare), (Origin::Conf, By::Preset));
    }

    #[test]
    fn other_code_that_says_something_else_is_seen() {
        let settings = Settings::new();
        let first = Config::new().mmap_threshold(1 << 20).name("db");
        settings.take_code(&first);
        let differs = |config: Config| settings.differs_in_code(&config);
        assert_eq!((differs(first), differs(Config::new())), (None, None));
        assert_eq!(differs(Config::new().mmap_threshold(1 << 21)), Some(Key::MmapThreshold));
        assert_eq!(differs(Config::new().name("web")), Some(Key::Name));
        assert_eq!(differs(first.dirty_floor(0)), Some(Key::DirtyFloor));
        settings.set(Key::MmapThreshold, 2048, Origin::Conf, By::Key);
        assert_eq!(differs(first), None, "neither code is in force");
    }

    #[test]
    fn texts_are_kept_apart_and_cut() {
        let settings = Settings::new();
        assert_eq!(settings.text(Key::Name).bytes(), b"");
        settings.set_text(Key::Name, &[b'x'; 300], Origin::Conf);
        assert_eq!(settings.text(Key::Name).bytes(), [b'x'; TEXT_MOST]);
        settings.set_text(Key::Name, b"short", Origin::Conf);
        assert_eq!(settings.text(Key::Name).bytes(), b"short");
        assert!(settings.is_on(Key::Name), "its word says that it is there");
    }
}
