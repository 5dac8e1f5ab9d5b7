//! The keys: everything that can be set without a change of code, in one table.
//!
//! ```text
//!   a row: Variant, name, kind of value, default, what it does, from when on, glibc's names for it
//!   Key  ─► settings (a word and an origin each) ─► whoever asks: `settings.get(Key::DirtyFloor)`
//!        ─► value (reads and writes it)  ─► builder (`Config`)  ─► help, the manual, the tool
//! ```
//!
//! To add one: a row here, a method in `builder`, and `settings.get(Key::…)` where it takes effect. The name
//! is the one that people write, so it is also that of the method. A word has the row's unit: bytes,
//! milliseconds, 1024ths, 0 or 1, the place among the choices. A text has a slot of its own and is asked for
//! by `settings.text`. What a row says stands in the manual too, and a test compares them.
#![forbid(unsafe_code)]

use crate::base::config::{
    DIRTY_FLOOR, DIRTY_SHARE, MAGAZINE_BYTES, MMAP_THRESHOLD, MMAP_THRESHOLD_MAX, MMAP_THRESHOLD_MIN, SWING,
    UNBOUNDED,
};

/// What a value is, and how it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Bytes, between two bounds: `4096`, `64K`, `1.5MiB`, `0x1000`.
    Bytes(usize, usize),
    /// A share of 100 %, up to a bound, kept in 1024ths: `12.5%`, `25`.
    Share(usize),
    /// A time up to a bound, kept in milliseconds: `250ms`, `10s`, `2m`; `off` is 0.
    Time(usize),
    /// `on` or `off`; a key without a value is on.
    Switch,
    /// One of these words, kept as its place.
    Choice(&'static [&'static str]),
    /// Text of up to `TEXT_MOST` bytes.
    Text,
}

/// Bytes of the longest text.
pub const TEXT_MOST: usize = 255;

/// From when on a change takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// From the next request on.
    Request,
    /// From the next free on that is more than a push.
    Free,
    /// Read once, before the first block.
    Start,
}

impl Effect {
    /// The same in words.
    pub const fn words(self) -> &'static str {
        match self {
            Effect::Request => "the next request",
            Effect::Free => "the next free",
            Effect::Start => "the start",
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// As people write it.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// The word where nobody sets it.
    pub default: usize,
    /// One sentence.
    pub does: &'static str,
    /// From when on.
    pub effect: Effect,
    /// glibc's variable for the same, and its name among GLIBC_TUNABLES.
    pub glibc: [&'static str; 2],
}

macro_rules! keys {
    ($($key:ident $name:literal, $kind:expr, $default:expr, $effect:ident, $glibc:expr, $does:literal;)*) => {
        /// A key, by its place in the table.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub enum Key { $(#[doc = $does] $key),* }

        impl Key {
            /// All of them, in the order of the table.
            pub const ALL: [Key; COUNT] = [$(Key::$key),*];

            /// Its row.
            pub const fn row(self) -> &'static Row {
                match self {
                    $(Key::$key => &Row {
                        name: $name,
                        kind: $kind,
                        default: $default,
                        does: $does,
                        effect: Effect::$effect,
                        glibc: $glibc,
                    },)*
                }
            }
        }

        /// How many keys there are.
        pub const COUNT: usize = [$($name),*].len();
    };
}

/// No name of glibc's.
const OURS: [&str; 2] = ["", ""];

/// A day, in milliseconds.
const DAY: usize = 24 * 3600 * 1000;

/// When there is a report.
pub const STATS: &[&str] = &["off", "exit"];
/// The place of `exit` among those.
pub const STATS_EXIT: usize = 1;
/// The words of `preset`.
pub const PRESETS: &[&str] = &["none", "small", "server", "throughput"];
/// The words of `profile_at`.
pub const PROFILE_AT: &[&str] = &["exit", "peak", "SIGUSR2"];
/// The words of `huge_pages`.
pub const HUGE_PAGES: &[&str] = &["off", "recycled", "always"];
/// Their places.
pub const HUGE_PAGES_OFF: usize = 0;
pub const HUGE_PAGES_RECYCLED: usize = 1;
pub const HUGE_PAGES_ALWAYS: usize = 2;

keys! {
    Preset "preset", Kind::Choice(PRESETS), 0, Start, OURS,
        "Values for the other keys, for programs that are to stay small, that serve, or that are to be fast.";
    MmapThreshold "mmap_threshold", Kind::Bytes(MMAP_THRESHOLD_MIN, MMAP_THRESHOLD_MAX), MMAP_THRESHOLD,
        Request, ["MALLOC_MMAP_THRESHOLD_", "glibc.malloc.mmap_threshold"],
        "From how many bytes on a request is a mapping of its own. Rust keeps up to 32K in the arena.";
    DirtyFloor "dirty_floor", Kind::Bytes(0, UNBOUNDED), DIRTY_FLOOR, Free,
        ["MALLOC_TRIM_THRESHOLD_", "glibc.malloc.trim_threshold"],
        "Free memory that may always keep its pages.";
    DirtyShare "dirty_share", Kind::Share(1024), DIRTY_SHARE, Free, OURS,
        "The share of live memory that free memory may keep as pages, where that is more than the floor.";
    Swing "swing", Kind::Bytes(0, UNBOUNDED), SWING, Free, OURS,
        "Free memory that may keep its pages while a program takes it again and again; 0 is none.";
    ThreadCache "thread_cache", Kind::Bytes(0, MAGAZINE_BYTES), MAGAZINE_BYTES, Request, OURS,
        "The most bytes of each size that a thread keeps at hand; at least four blocks.";
    HugePages "huge_pages", Kind::Choice(HUGE_PAGES), HUGE_PAGES_RECYCLED, Request,
        ["", "glibc.malloc.hugetlb"],
        "Which large blocks are on huge pages: none; those taken again and again, and long ones; or all.";
    Background "background", Kind::Switch, 0, Start, OURS,
        "A thread that gives back what lies unused, and everything where memory is short; asleep otherwise.";
    Decay "decay", Kind::Time(DAY), 10_000, Free, OURS,
        "How long free memory lies unused before the background thread gives it back; off is never.";
    MemoryEvents "memory_events", Kind::Text, 0, Start, OURS,
        "The file that changes where memory is short: by default memory.events of the process's cgroup.";
    Profile "profile", Kind::Bytes(0, UNBOUNDED), 0, Start, OURS,
        "Takes a heap profile, of a sample in so many bytes; 512K costs little. 0 takes none.";
    ProfileOut "profile_out", Kind::Text, 0, Start, OURS,
        "The profile's file: %p is the process, %n counts files; .json is DHAT's, .gz packed, else pprof's.";
    ProfileAt "profile_at", Kind::Choice(PROFILE_AT), 0, Start, OURS,
        "When it is written, and of what is in use: at exit, at exit of the peak, or at each such signal.";
    Name "name", Kind::Text, 0, Start, OURS,
        "What this allocator is called where it speaks: one process may have several.";
    Quiet "quiet", Kind::Switch, 0, Start, OURS,
        "Says nothing of what is wrong in a configuration.";
    Stats "stats", Kind::Choice(STATS), 0, Start, OURS,
        "When a report is written: never, or when the program ends by exit.";
    StatsOut "stats_out", Kind::Text, 0, Start, OURS,
        "The file that the report is appended to, %p in its name for the process; else standard error.";
    Log "log", Kind::Text, 0, Start, OURS,
        "A file, or a descriptor's number, for a line about each memory call and its reason.";
    Watch "watch", Kind::Switch, 0, Start, OURS,
        "Shares a page of figures with `brkmap top` and `brkmap maps`, which the same user may read.";
    Help "help", Kind::Switch, 0, Start, OURS,
        "Lists the keys, their defaults, the values in force and where each came from, on standard error.";
}

impl Key {
    /// The key of a name.
    pub fn named(name: &[u8]) -> Option<Key> {
        Key::ALL.into_iter().find(|key| key.row().name.as_bytes() == name)
    }
}

/// The place of each text's slot among those of all texts, and how many texts there are.
const SLOTS: ([usize; COUNT], usize) = {
    let (mut slots, mut count, mut at) = ([0; COUNT], 0, 0);
    while at < COUNT {
        slots[at] = count;
        count += matches!(Key::ALL[at].row().kind, Kind::Text) as usize;
        at += 1;
    }
    (slots, count)
};

/// How many keys are texts.
pub const TEXTS: usize = SLOTS.1;

impl Key {
    /// The place of a text's slot.
    pub fn slot(self) -> usize {
        SLOTS.0.get(self as usize).copied().unwrap_or(TEXTS)
    }

    /// The same, for what is computed when it is compiled.
    pub const fn slot_in_const(self) -> usize {
        SLOTS.0[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_found_by_its_name_and_by_no_other() {
        for key in Key::ALL {
            assert_eq!(Key::named(key.row().name.as_bytes()), Some(key));
            let plain = key.row().name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(plain && key.row().does.ends_with('.'), "{key:?}");
        }
        assert_eq!((Key::named(b"dirty"), Key::named(b"")), (None, None));
    }

    #[test]
    fn each_text_has_a_slot_of_its_own() {
        let texts = Key::ALL.into_iter().filter(|key| key.row().kind == Kind::Text);
        assert!(texts.map(Key::slot).eq(0..TEXTS));
    }
}
