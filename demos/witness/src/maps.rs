//! The areas of a process, from /proc/PID/maps.

use std::io;
use std::ops::Range;

/// The text of one moment.
#[derive(Clone, Debug)]
pub struct Maps(String);

/// An area, as a line of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region<'a> {
    /// As the kernel wrote it.
    pub line: &'a str,
    pub addresses: Range<usize>,
    /// `r-xp`
    pub rights: &'a str,
}

impl Maps {
    pub fn of_this_process() -> io::Result<Maps> {
        std::fs::read_to_string("/proc/self/maps").map(Maps)
    }

    /// Of a process, or of that of a thread.
    pub fn of(pid: i32) -> io::Result<Maps> {
        std::fs::read_to_string(format!("/proc/{pid}/maps")).map(Maps)
    }

    pub fn regions(&self) -> impl Iterator<Item = Region<'_>> {
        self.0.lines().filter_map(Region::parse)
    }

    pub fn covering(&self, address: usize) -> Option<Region<'_>> {
        self.regions().find(|region| region.addresses.contains(&address))
    }
}

impl<'a> Region<'a> {
    pub fn parse(line: &'a str) -> Option<Region<'a>> {
        let (addresses, rest) = line.split_once(' ')?;
        let (start, end) = addresses.split_once('-')?;
        let hex = |text| usize::from_str_radix(text, 16).ok();
        Some(Region { line, addresses: hex(start)?..hex(end)?, rights: rest.get(..4)? })
    }

    /// The file behind it.
    pub fn path(&self) -> Option<&'a str> {
        self.line.find('/').map(|at| &self.line[at..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "7f0000000000-7f0000001000 r-xp 00000000 fe:00 1  /usr/lib/lib a.so\n\
                        7f0000002000-7f0000003000 rw-p 00000000 00:00 0\n";

    #[test]
    fn the_area_of_an_address_is_found_with_its_file() {
        let maps = Maps(TEXT.into());
        let first = maps.covering(0x7f00_0000_0fff).unwrap();
        assert_eq!((first.rights, first.path()), ("r-xp", Some("/usr/lib/lib a.so")));
        assert_eq!(maps.covering(0x7f00_0000_2000).unwrap().path(), None);
        assert_eq!(maps.covering(0x7f00_0000_1000), None);
        assert_eq!(maps.regions().count(), 2);
    }

    #[test]
    fn this_process_has_its_own_code_mapped() {
        let code = Maps::of_this_process as fn() -> io::Result<Maps> as usize;
        let (own, by_id) = (Maps::of_this_process().unwrap(), Maps::of(std::process::id() as i32).unwrap());
        for maps in [own, by_id] {
            assert!(maps.covering(code).is_some_and(|region| region.rights.contains('x')));
        }
    }
}
