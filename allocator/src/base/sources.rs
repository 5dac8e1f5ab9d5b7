//! Who may set a key, and who wins: the sources of a configuration, gone through in their order.
//!
//! ```text
//!   defaults < code (`BrkMap::with`) < /etc/brkmap.conf < MALLOC_…_ < GLIBC_TUNABLES < BRKMAP_CONF
//!            < BRKMAP_ and a key's name < mallopt
//! ```
//!
//! Within a source a preset stands below the keys that the source names, in whichever order. Of what is wrong
//! one line is made, and the rest takes effect; of glibc's names, which were set for glibc, nothing is said.
#![forbid(unsafe_code)]

use crate::base::complaint::{self, Line};
use crate::base::entries::{Entry, entries, tunable};
use crate::base::keys::{HUGE_PAGES_ALWAYS, Key};
use crate::base::nearest::nearest;
use crate::base::preset;
use crate::base::settings::{By, Origin, Settings};
use crate::base::value::{self, Read};

/// The file for all programs of a machine.
pub const FILE: &str = "/etc/brkmap.conf";

/// Bytes of the file that are looked at, as far as their last whole line.
pub const FILE_MOST: usize = 4096;

/// Where something is read.
pub struct Place<'a> {
    /// The file's name, or the variable's.
    pub name: &'a str,
    /// The whole variable, with its value; nothing of the file.
    pub variable: &'a [u8],
    origin: Origin,
}

/// Goes through all sources. `file` is the beginning of the file, if there is one; `variables` gives the
/// environment, each as `NAME=value`; `complain` gets what is wrong, and where.
pub fn read<'a, I: Iterator<Item = &'a [u8]>>(
    settings: &Settings,
    file: Option<&[u8]>,
    variables: impl Fn() -> I,
    complain: &mut dyn FnMut(&Place, &Line),
) {
    let mut reader = Reader { settings, complain };
    if let Some(text) = file {
        reader.file(text);
    }
    let value = |name: &[u8]| variables().find_map(|variable| value_of(variable, name));
    reader.glibc(value);
    if let Some(variable) = variables().find(|variable| variable.starts_with(b"BRKMAP_CONF=")) {
        let place = Place { name: "BRKMAP_CONF", variable, origin: Origin::Conf };
        reader.text(&place, value_of(variable, b"BRKMAP_CONF").unwrap_or_default());
    }
    for pass in [Pass::Preset, Pass::Keys] {
        for variable in variables() {
            reader.variable(variable, pass);
        }
    }
}

fn value_of<'a>(variable: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    variable.strip_prefix(name)?.strip_prefix(b"=")
}

/// Through the variables: a preset stands below the keys, in whichever order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Preset,
    Keys,
}

struct Reader<'a> {
    settings: &'a Settings,
    complain: &'a mut dyn FnMut(&Place, &Line),
}

impl Reader<'_> {
    fn file(&mut self, text: &[u8]) {
        let place = Place { name: FILE, variable: &[], origin: Origin::File };
        let mut text = text;
        if text.len() >= FILE_MOST {
            let whole = text.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
            text = text.get(..whole).unwrap_or_default();
            self.complain(&place, &complaint::too_long(place.name, FILE_MOST - 1));
        }
        self.text(&place, text);
    }

    /// glibc's own names. What they say is for glibc first: what has no meaning here is no fault.
    fn glibc<'a>(&mut self, environment: impl Fn(&[u8]) -> Option<&'a [u8]>) {
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
    fn text(&mut self, place: &Place, text: &[u8]) {
        for entry in entries(text).filter(|entry| entry.name == Key::Preset.row().name.as_bytes()) {
            self.entry(place, Key::Preset, entry.value);
        }
        for Entry { name: key, value } in entries(text) {
            match Key::named(key) {
                Some(Key::Preset) => {}
                Some(key) => self.entry(place, key, value),
                None => self.complain(place, &complaint::no_key(place.name, key)),
            }
        }
    }

    /// A variable of a single key: BRKMAP_ and the key in capitals. One that is none is told if it resembles
    /// one: others may be somebody else's.
    fn variable(&mut self, variable: &[u8], pass: Pass) {
        let Some(rest) = variable.strip_prefix(b"BRKMAP_") else { return };
        let mut parts = rest.splitn(2, |&byte| byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        let whole = variable.get(..b"BRKMAP_".len() + name.len()).unwrap_or_default();
        let place = Place {
            name: core::str::from_utf8(whole).unwrap_or_default(),
            variable,
            origin: Origin::Variable,
        };
        let is = |key: &Key| name.eq_ignore_ascii_case(key.row().name.as_bytes());
        match Key::ALL.into_iter().find(is) {
            Some(key) if (key == Key::Preset) == (pass == Pass::Preset) => self.entry(&place, key, value),
            None if pass == Pass::Keys && name != b"CONF" => {
                let names = Key::ALL.into_iter().map(|key| key.row().name).chain(["conf"]);
                if let Some(nearest) = nearest(name, names) {
                    self.complain(&place, &complaint::no_variable(place.name, nearest));
                }
            }
            _ => {}
        }
    }

    fn entry(&mut self, place: &Place, key: Key, text: Option<&[u8]>) {
        match value::read(key.row().kind, text) {
            Read::Is(word) => self.set(key, word, place.origin),
            Read::Clamped(word, bound) => {
                self.complain(place, &complaint::clamped(place.name, key, text, word, bound));
                self.set(key, word, place.origin);
            }
            Read::Text => self.settings.set_text(key, text.unwrap_or_default(), place.origin),
            Read::Wrong => self.complain(place, &complaint::no_value(place.name, key, text)),
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

    fn complain(&mut self, place: &Place, line: &Line) {
        (self.complain)(place, line);
    }
}

/// A value of glibc's for a key. -1 is the most there is.
fn glibcs(key: Key, text: &[u8]) -> Option<usize> {
    if key == Key::HugePages {
        // 2 asks for pages that were set aside (hugetlbfs(5)), which the arena does not use.
        return match text {
            b"0" => Some(0),
            b"1" | b"2" => Some(HUGE_PAGES_ALWAYS),
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
