//! Names for addresses, from the debug information and the symbols of the files that were mapped.

use std::collections::BTreeMap;
use std::path::Path;

use addr2line::Loader;
use object::{Object, ObjectSegment};

use super::proto::{Mapping, Profile};

/// A file that was mapped, if it is still the one.
struct File {
    loader: Loader,
    /// Where parts of the file are in its own addresses: place, length, address.
    parts: Vec<[u64; 3]>,
}

pub struct Symbols<'a> {
    profile: &'a Profile,
    files: BTreeMap<&'a str, Option<File>>,
}

impl<'a> Symbols<'a> {
    pub fn of(profile: &'a Profile) -> Self {
        Symbols { profile, files: BTreeMap::new() }
    }

    /// Files that could not be used.
    pub fn unknown(self) -> Vec<String> {
        let files = self.files.into_iter().filter(|(name, file)| file.is_none() && name.starts_with('/'));
        files.map(|(name, _)| name.to_owned()).collect()
    }

    /// The functions at an address, the innermost first: several where some are inlined. At least one.
    pub fn names(&mut self, mapping: Option<&'a Mapping>, address: u64) -> Vec<String> {
        let Some(mapping) = mapping else { return vec![format!("{address:#x}")] };
        let name = self.profile.text(mapping.filename);
        let profile = self.profile;
        let file = self.files.entry(name).or_insert_with(|| open(name, profile.text(mapping.build_id)));
        let place = address.wrapping_sub(mapping.memory_start).wrapping_add(mapping.file_offset);
        let found = file.as_ref().and_then(|file| file.names(place));
        let short = Path::new(name).file_name().map_or(name.into(), |name| name.to_string_lossy());
        found.unwrap_or_else(|| vec![format!("{short}+{place:#x}")])
    }
}

fn open(name: &str, build_id: &str) -> Option<File> {
    let bytes = std::fs::read(name).ok()?;
    let parsed = object::File::parse(&bytes[..]).ok()?;
    let own = parsed.build_id().ok().flatten().unwrap_or_default();
    let own: String = own.iter().map(|byte| format!("{byte:02x}")).collect();
    if !build_id.is_empty() && own != build_id {
        return None;
    }
    let parts = parsed.segments().map(|segment| {
        let (place, len) = segment.file_range();
        [place, len, segment.address()]
    });
    Some(File { parts: parts.collect(), loader: Loader::new(name).ok()? })
}

impl File {
    fn names(&self, place: u64) -> Option<Vec<String>> {
        let inside = |[start, len, _]: &&[u64; 3]| (*start..start + len).contains(&place);
        let [start, _, address] = self.parts.iter().find(inside)?;
        let at = address + (place - start);
        let mut names = Vec::new();
        if let Ok(mut frames) = self.loader.find_frames(at) {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame.function.and_then(|name| Some(name.demangle().ok()?.into_owned()));
                names.extend(name);
            }
        }
        // The outermost is a function of the symbol table. Line tables without types name it without its module, and the
        // symbol of Rust and C++ does not.
        if let Some(symbol) = self.loader.find_symbol(at) {
            let whole = addr2line::demangle_auto(symbol.into(), None);
            match names.last_mut() {
                Some(name) if whole != symbol => *name = whole.into_owned(),
                Some(_) => {}
                None => names.push(whole.into_owned()),
            }
        }
        if names.is_empty() { None } else { Some(names) }
    }
}
