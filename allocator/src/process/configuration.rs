//! The configuration of the process: who may set a key, and who wins.
//!
//! ```text
//!   defaults < code (`BrkMap::with`) < /etc/brkmap.conf < MALLOC_…_ < GLIBC_TUNABLES < BRKMAP_CONF
//!            < BRKMAP_ and a key's name < mallopt
//! ```
//!
//! Within a source a preset stands below the keys that the source names, in whichever order. All is read
//! before the first block, with nothing allocated and no lock. Of what is wrong, one line is said and the rest
//! takes effect; of glibc's names, which were set for glibc, nothing is said. A program with raised rights
//! reads nothing: only code is in force there.

use super::instance::ALLOCATOR;
use super::{complaint, help, reports, watch};
use crate::base::builder::Config;
use crate::base::entries::{Entry, entries, tunable};
use crate::base::keys::{HUGE_PAGES, Key};
use crate::base::nearest::nearest;
use crate::base::preset;
use crate::base::settings::{By, Origin, Settings};
use crate::base::value::{self, Read};
use crate::os::environment::{environment, is_secure, read_file, variables};
use core::ffi::CStr;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

const FILE: &CStr = c"/etc/brkmap.conf";

/// Bytes of the file that are read. They are on the stack.
const FILE_MOST: usize = 4096;

const UNREAD: u32 = 0;
/// Some thread is reading.
const READING: u32 = 1;
const READ: u32 = 2;

/// Relaxed everywhere: threads that come at once read the same, and the first one speaks.
static STATE: AtomicU32 = AtomicU32::new(UNREAD);

/// Whether what is wrong is to be said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Voice {
    Speaks,
    Silent,
}

/// Reads the configuration, once.
#[cold]
pub fn read() {
    if STATE.load(Ordering::Relaxed) == READ {
        return;
    }
    let first = STATE.compare_exchange(UNREAD, READING, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    let source = Source {
        settings: &ALLOCATOR.arena.settings,
        voice: if first { Voice::Speaks } else { Voice::Silent },
    };
    if !is_secure() {
        source.read_all();
        if first && source.settings.is_on(Key::Help) {
            help::write();
        }
    }
    if first {
        reports::begin_log();
        watch::begin();
    }
    STATE.store(READ, Ordering::Relaxed);
}

/// The configuration in code that was taken, by its address.
static CODE: AtomicPtr<Config> = AtomicPtr::new(null_mut());

/// Whether it is the one that was taken.
#[inline(always)]
pub fn is_code(config: &Config) -> bool {
    core::ptr::eq(CODE.load(Ordering::Relaxed), config)
}

/// What code says: it gives way to all others, whether they were read or not. The first one is taken, and one
/// that says something else is told of.
#[cold]
#[inline(never)]
pub fn take_code(config: &Config) {
    let ours = core::ptr::from_ref(config).cast_mut();
    if CODE.compare_exchange(null_mut(), ours, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        ALLOCATOR.arena.settings.take_code(config);
        return;
    }
    static TOLD: AtomicBool = AtomicBool::new(false);
    let differs = ALLOCATOR.arena.settings.differs_in_code(config);
    if let Some(key) = differs.filter(|_| !TOLD.swap(true, Ordering::Relaxed)) {
        complaint::second_code(key);
    }
}

/// Through the variables: a preset stands below the keys, in whichever order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Preset,
    Keys,
}

struct Source<'a> {
    settings: &'a Settings,
    voice: Voice,
}

impl Source<'_> {
    /// In the order in which one wins over the other.
    fn read_all(&self) {
        self.file();
        self.glibc();
        if let Some(text) = environment(b"BRKMAP_CONF") {
            self.text("BRKMAP_CONF", text, Origin::Conf);
        }
        self.variables();
    }

    #[inline(never)]
    fn file(&self) {
        let mut buffer = [0; FILE_MOST];
        let Some(len) = read_file(FILE, &mut buffer) else { return };
        let name = FILE.to_str().unwrap_or_default();
        let mut text = buffer.get(..len).unwrap_or_default();
        if len == FILE_MOST {
            let whole = text.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
            text = text.get(..whole).unwrap_or_default();
            self.complain(|| complaint::too_long(name, FILE_MOST - 1));
        }
        self.text(name, text, Origin::File);
    }

    /// glibc's own names. What they say is for glibc first: what has no meaning here is no fault.
    fn glibc(&self) {
        let all = environment(b"GLIBC_TUNABLES").unwrap_or_default();
        for key in Key::ALL {
            let [variable, name] = key.row().glibc;
            let sources = [
                (environment(variable.as_bytes()).filter(|_| !variable.is_empty()), Origin::Glibc),
                (tunable(all, name).filter(|_| !name.is_empty()), Origin::Tunables),
            ];
            for (text, origin) in sources {
                if let Some(word) = text.and_then(|text| glibcs(key, text)) {
                    self.settings.set(key, word, origin, By::Key);
                }
            }
        }
    }

    /// The entries of a source: a preset first, then what is said of single keys.
    fn text(&self, name: &str, text: &[u8], origin: Origin) {
        for entry in entries(text).filter(|entry| entry.name == Key::Preset.row().name.as_bytes()) {
            self.entry(name, Key::Preset, entry.value, origin);
        }
        for Entry { name: key, value } in entries(text) {
            match Key::named(key) {
                Some(Key::Preset) => {}
                Some(key) => self.entry(name, key, value, origin),
                None => self.complain(|| complaint::no_key(name, key)),
            }
        }
    }

    /// The variables of single keys: BRKMAP_ and the key in capitals. Of those that are none the ones are told
    /// that resemble one: others may be somebody else's.
    fn variables(&self) {
        for pass in [Pass::Preset, Pass::Keys] {
            for variable in variables().filter(|variable| variable.starts_with(b"BRKMAP_")) {
                let mut parts = variable.splitn(2, |&byte| byte == b'=');
                let (whole, value) = (parts.next().unwrap_or_default(), parts.next());
                let name = whole.get(b"BRKMAP_".len()..).unwrap_or_default();
                let is = |key: &Key| name.eq_ignore_ascii_case(key.row().name.as_bytes());
                match Key::ALL.into_iter().find(is) {
                    Some(key) if (key == Key::Preset) == (pass == Pass::Preset) => {
                        self.entry(
                            core::str::from_utf8(whole).unwrap_or_default(),
                            key,
                            value,
                            Origin::Variable,
                        );
                    }
                    None if pass == Pass::Keys && name != b"CONF" => {
                        let names = Key::ALL.into_iter().map(|key| key.row().name).chain(["conf"]);
                        if let Some(nearest) = nearest(name, names) {
                            self.complain(|| complaint::no_variable(whole, nearest));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn entry(&self, source: &str, key: Key, text: Option<&[u8]>, origin: Origin) {
        match value::read(key.row().kind, text) {
            Read::Is(word) => self.set(key, word, origin),
            Read::Clamped(word, bound) => {
                self.complain(|| complaint::clamped(source, key, text, word, bound));
                self.set(key, word, origin);
            }
            Read::Text => self.settings.set_text(key, text.unwrap_or_default(), origin),
            Read::Wrong => self.complain(|| complaint::no_value(source, key, text)),
        }
    }

    fn set(&self, key: Key, word: usize, origin: Origin) {
        self.settings.set(key, word, origin, By::Key);
        if key == Key::Preset {
            for (key, word) in preset::values(word) {
                self.settings.set(*key, *word, origin, By::Preset);
            }
        }
    }

    fn complain(&self, complaint: impl FnOnce()) {
        if self.voice == Voice::Speaks {
            complaint();
        }
    }
}

/// A value of glibc's for a key. -1 is the most there is.
fn glibcs(key: Key, text: &[u8]) -> Option<usize> {
    if key == Key::HugePages {
        // 2 asks for pages that were set aside (hugetlbfs(5)), which the arena does not use.
        return match text {
            b"0" => Some(0),
            b"1" | b"2" => Some(HUGE_PAGES.len() - 1),
            _ => None,
        };
    }
    let text = if text == b"-1" { b"0xffffffffffffffff" } else { text };
    match value::read(key.row().kind, Some(text)) {
        Read::Is(word) => Some(word),
        Read::Clamped(word, value::Bound::Least) => Some(word),
        Read::Clamped(word, _) if key == Key::DirtyFloor => Some(word),
        _ => None,
    }
}
