//! The configuration of brkmap in an environment, by its own table of keys.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use brkmap_core::keys::sources::{self, FILE, FILE_MOST};
use brkmap_core::keys::{Key, Kind, Origin, Settings, Text, write};

/// What brkmap makes of the sources.
pub struct Configuration {
    settings: Settings,
    /// What does not do what it says: a sentence each, with what would be right.
    pub wrong: Vec<Wrong>,
}

/// Something that does not do what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The file, or the variable.
    pub place: String,
    pub text: String,
}

impl Configuration {
    /// Of nothing: where rights are raised, say.
    pub fn none() -> Configuration {
        Configuration { settings: Settings::new(), wrong: Vec::new() }
    }

    /// Of an environment, and of the file for all programs, where there is one.
    pub fn of(environment: &[(OsString, OsString)], file: &Path) -> Configuration {
        let variables: Vec<Vec<u8>> = environment
            .iter()
            .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
            .collect();
        let file = std::fs::read(file).ok();
        let file = file.as_deref().map(|text| &text[..text.len().min(FILE_MOST)]);
        let mut found = Configuration::none();
        let wrong = &mut found.wrong;
        let mut complain = |place: &sources::Place, line: &Text<384>| {
            let text = String::from_utf8_lossy(line.bytes()).into_owned();
            wrong.push(Wrong { place: place.name.to_owned(), text: format!("{text}.") });
        };
        sources::read(&found.settings, file, || variables.iter().map(Vec::as_slice), &mut complain);
        found
    }

    /// Of this process.
    pub fn own() -> Configuration {
        Configuration::of(&std::env::vars_os().collect::<Vec<_>>(), Path::new(FILE))
    }

    /// A key's value as it is written, and who set it.
    pub fn value(&self, key: Key) -> (String, String) {
        let (mut value, mut by) = (Text::<64>::new(), Text::<64>::new());
        match key.row().kind {
            Kind::Text => value.push_shown(self.settings.text(key).bytes(), 40),
            kind => write(&mut value, kind, self.settings.get(key)),
        }
        self.settings.write_origin(&mut by, key);
        let [value, by] = [value, by].map(|text| String::from_utf8_lossy(text.bytes()).into_owned());
        (value, by)
    }

    pub fn is_set(&self, key: Key) -> bool {
        self.settings.origin(key).0 != Origin::Default
    }

    /// The keys that somebody set, but for those that only speak.
    pub fn set(&self) -> impl Iterator<Item = Key> {
        let silent = |key: &Key| [Key::Help, Key::Quiet].contains(key);
        Key::ALL.into_iter().filter(move |key| self.is_set(*key) && !silent(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)], file: &str) -> Configuration {
        let folder =
            std::env::temp_dir().join(format!("brkmap-variables-{}-{}", std::process::id(), file.len()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("brkmap.conf");
        std::fs::write(&path, file).expect("a file");
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let found = Configuration::of(&pairs, &path);
        std::fs::remove_dir_all(&folder).expect("its end");
        found
    }

    #[test]
    fn sources_are_read_as_the_allocator_reads_them() {
        let found = of(&[], "");
        assert_eq!(found.value(Key::MmapThreshold), ("128K".to_owned(), "default".to_owned()));
        assert!(found.set().next().is_none() && found.wrong.is_empty());
        let found = of(
            &[("MALLOC_MMAP_THRESHOLD_", "65536"), ("BRKMAP_CONF", "preset:small")],
            "dirty_floor:1\nname:x",
        );
        assert_eq!(found.value(Key::MmapThreshold), ("64K".to_owned(), "MALLOC_MMAP_THRESHOLD_".to_owned()));
        assert_eq!(found.value(Key::DirtyFloor).1, "preset:small of BRKMAP_CONF");
        assert_eq!(found.value(Key::Name), ("x".to_owned(), "/etc/brkmap.conf".to_owned()));
        assert!(found.set().eq(Key::ALL.into_iter().filter(|key| found.is_set(*key))));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let found =
            of(&[("BRKMAP_MMAP_THRESHOLD", "1"), ("BRKMAP_CONF", "x:1"), ("PATH", "/bin")], "decay:x");
        let places: Vec<_> = found.wrong.iter().map(|wrong| wrong.place.as_str()).collect();
        assert_eq!(places, ["/etc/brkmap.conf", "BRKMAP_CONF", "BRKMAP_MMAP_THRESHOLD"]);
        assert!(found.wrong[2].text.contains("1025 is taken"), "{:?}", found.wrong);
    }
}
