//! `Config`: the keys in code.
#![forbid(unsafe_code)]

use crate::base::keys::{
    COUNT, HUGE_PAGES, HUGE_PAGES_ALWAYS, HUGE_PAGES_OFF, HUGE_PAGES_RECYCLED, Key, Kind, PRESETS,
    PROFILE_AT, TEXT_MOST, TEXTS,
};
use crate::base::preset;
use core::time::Duration;

/// What an allocator is set to by code, for [`BrkMap::with`](crate::BrkMap::with). Each method is a key of
/// the same name in `BRKMAP_CONF` and `/etc/brkmap.conf`, which win over what is said here.
///
/// Wrong values do not compile:
///
/// ```
/// use brkmap::{BrkMap, Config};
///
/// #[global_allocator]
/// static GLOBAL: BrkMap<Config> = BrkMap::with(Config::small().mmap_threshold(256 << 10).name("db"));
/// # fn main() {}
/// ```
///
/// ```compile_fail
/// # use brkmap::{BrkMap, Config};
/// static GLOBAL: BrkMap<Config> = BrkMap::with(Config::new().mmap_threshold(64));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    words: [usize; COUNT],
    /// A bit for each key that is set.
    set: u64,
    texts: [&'static str; TEXTS],
}

/// Which large blocks are put on huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum HugePages {
    /// None.
    Off = HUGE_PAGES_OFF,
    /// Those of a program that gives large blocks back and takes them again, and new ones of 16 to 256 MiB:
    /// the default.
    Recycled = HUGE_PAGES_RECYCLED,
    /// All of 2 MiB and more.
    Always = HUGE_PAGES_ALWAYS,
}

impl HugePages {
    /// What the word of the key `huge_pages` says.
    pub(crate) fn of(word: usize) -> HugePages {
        match word {
            HUGE_PAGES_OFF => HugePages::Off,
            HUGE_PAGES_RECYCLED => HugePages::Recycled,
            _ => HugePages::Always,
        }
    }
}

/// When a heap profile is written, and of what is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum ProfileAt {
    /// At exit, of what is in use then.
    Exit,
    /// At exit, of what was in use when most was.
    Peak,
    /// At each SIGUSR2, of what is in use then.
    Signal,
}

const _: () = assert!(COUNT <= 64 && HUGE_PAGES.len() == 3 && PROFILE_AT.len() == 3);

impl Default for Config {
    fn default() -> Self {
        Config::new()
    }
}

impl Config {
    /// Nothing is set: the defaults are in force.
    pub const fn new() -> Config {
        Config { words: [0; COUNT], set: 0, texts: [""; TEXTS] }
    }

    /// As little memory as can be: less stays with threads, and what is free goes back sooner.
    pub const fn small() -> Config {
        Config::preset(1)
    }

    /// For a process that lives long beside others.
    pub const fn server() -> Config {
        Config::preset(2)
    }

    /// As few calls and faults as can be: what was freed stays for a while.
    pub const fn throughput() -> Config {
        Config::preset(3)
    }

    const fn preset(preset: usize) -> Config {
        assert!(preset < PRESETS.len());
        let mut config = Config::new().word(Key::Preset, preset);
        let mut values = preset::values(preset);
        while let [(key, word), rest @ ..] = values {
            config = config.word(*key, *word);
            values = rest;
        }
        config
    }

    /// From how many bytes on a request is a mapping of its own: 1025 to 32 MiB.
    pub const fn mmap_threshold(self, bytes: usize) -> Config {
        assert!(is_in_bounds(Key::MmapThreshold, bytes), "mmap_threshold is from 1025 bytes to 32 MiB");
        self.word(Key::MmapThreshold, bytes)
    }

    /// Bytes of free memory that may always keep their pages.
    pub const fn dirty_floor(self, bytes: usize) -> Config {
        assert!(is_in_bounds(Key::DirtyFloor, bytes), "dirty_floor is 64 TiB at most");
        self.word(Key::DirtyFloor, bytes)
    }

    /// The share of live memory, in per cent, that free memory may keep in pages where that is more than the
    /// floor.
    pub const fn dirty_share(self, percent: usize) -> Config {
        assert!(percent <= 100, "dirty_share is 100 % at most");
        self.word(Key::DirtyShare, (percent * 1024 + 50) / 100)
    }

    /// The most bytes of free memory that may keep their pages while a program gives memory back and takes it
    /// again, over and over. Zero is none.
    pub const fn swing(self, bytes: usize) -> Config {
        assert!(is_in_bounds(Key::Swing, bytes), "swing is 64 TiB at most");
        self.word(Key::Swing, bytes)
    }

    /// The most bytes of each size that a thread keeps at hand, 32 KiB at most.
    pub const fn thread_cache(self, bytes: usize) -> Config {
        assert!(is_in_bounds(Key::ThreadCache, bytes), "thread_cache is 32 KiB at most");
        self.word(Key::ThreadCache, bytes)
    }

    /// Which large blocks are put on huge pages.
    pub const fn huge_pages(self, which: HugePages) -> Config {
        self.word(Key::HugePages, which as usize)
    }

    /// A thread that gives back what lies unused for the time of `decay`, and everything where the cgroup's
    /// memory is short. It sleeps while nothing is free, has all signals blocked, and keeps no program from
    /// ending. A fork's child starts its own. A library that may be unloaded has none.
    pub const fn background(self, on: bool) -> Config {
        self.word(Key::Background, on as usize)
    }

    /// How long free memory lies unused before the background thread gives it back, a day at most. Zero is
    /// never.
    pub const fn decay(self, time: Duration) -> Config {
        let millis = time.as_millis();
        assert!(millis <= 24 * 3600 * 1000, "decay is a day at most");
        self.word(Key::Decay, millis as usize)
    }

    /// The file that the kernel changes where memory is short, which the background thread looks at.
    pub const fn memory_events(self, path: &'static str) -> Config {
        self.text(Key::MemoryEvents, path)
    }

    /// Takes a heap profile, of a sample in so many bytes in the mean: 512 KiB cost little. With the feature
    /// `profile`.
    pub const fn profile(self, bytes: usize) -> Config {
        assert!(is_in_bounds(Key::Profile, bytes), "profile is 64 TiB at most");
        self.word(Key::Profile, bytes)
    }

    /// The file that the profile is written to, in 1 to 255 bytes: `%p` is the process's number, `%n` counts
    /// files. One whose name ends with `.json` is DHAT's, `.gz` is compressed; others are pprof's.
    pub const fn profile_out(self, name: &'static str) -> Config {
        self.text(Key::ProfileOut, name)
    }

    /// When the profile is written.
    pub const fn profile_at(self, when: ProfileAt) -> Config {
        self.word(Key::ProfileAt, when as usize)
    }

    /// What this allocator is called where it speaks, in 1 to 255 bytes.
    pub const fn name(self, name: &'static str) -> Config {
        self.text(Key::Name, name)
    }

    const fn word(mut self, key: Key, word: usize) -> Config {
        self.words[key as usize] = word;
        self.set |= 1 << key as usize;
        self
    }

    const fn text(mut self, key: Key, text: &'static str) -> Config {
        assert!(!text.is_empty() && text.len() <= TEXT_MOST, "a text has 1 to 255 bytes");
        self.texts[key.slot_in_const()] = text;
        self.word(key, 1)
    }

    fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        Key::ALL.into_iter().filter(|key| self.set >> *key as usize & 1 != 0)
    }

    /// The keys that are set to a word.
    pub(crate) fn words(&self) -> impl Iterator<Item = (Key, usize)> + '_ {
        let words = self.keys().filter(|key| key.row().kind != Kind::Text);
        words.filter_map(|key| Some((key, *self.words.get(key as usize)?)))
    }

    /// The keys that are set to a text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (Key, &'static str)> + '_ {
        let texts = self.keys().filter(|key| key.row().kind == Kind::Text);
        texts.filter_map(|key| Some((key, *self.texts.get(key.slot())?)))
    }
}

const fn is_in_bounds(key: Key, word: usize) -> bool {
    match key.row().kind {
        Kind::Bytes(least, most) => least <= word && word <= most,
        Kind::Share(most) | Kind::Time(most) => word <= most,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_told_and_the_rest_is_not() {
        const CONFIG: Config = Config::new()
            .mmap_threshold(1 << 20)
            .huge_pages(HugePages::Always)
            .name("db")
            .mmap_threshold(2048);
        let words: Vec<_> = CONFIG.words().collect();
        assert_eq!(words, [(Key::MmapThreshold, 2048), (Key::HugePages, 2)]);
        assert!(CONFIG.texts().eq([(Key::Name, "db")]));
        assert_eq!(Config::new(), Config::default());
    }

    #[test]
    fn a_preset_sets_its_values_and_those_behind_it_win() {
        const CONFIG: Config = Config::small().dirty_floor(5 << 20);
        let of = |key| CONFIG.words().find(|(known, _)| *known == key).map(|(_, word)| word);
        assert_eq!((of(Key::Preset), of(Key::DirtyFloor)), (Some(1), Some(5 << 20)));
        for (key, word) in preset::values(1) {
            assert!(*key == Key::DirtyFloor || of(*key) == Some(*word), "{key:?}");
        }
    }

    #[test]
    fn presets_set_what_their_rows_allow() {
        for (preset, name) in PRESETS.iter().enumerate() {
            for (key, word) in preset::values(preset) {
                assert!(is_in_bounds(*key, *word), "{name} sets {key:?} to {word}");
            }
        }
    }

    #[test]
    #[should_panic = "mmap_threshold is from 1025 bytes"]
    fn a_wrong_value_is_refused_with_a_sentence() {
        let _ = Config::new().mmap_threshold(64);
    }
}
