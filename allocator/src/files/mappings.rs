//! What of files is mapped as code, with the build ids of those files (proc_pid_maps(5), elf(5)).

use super::scratch::Scratch;
use super::sink::Sink;
use crate::base::checked::Checked;
use crate::os::Os;
use crate::os::descriptor::Descriptor;
use core::ffi::CStr;

/// A mapping of a file.
pub struct Mapping<'a> {
    pub start: usize,
    pub end: usize,
    pub offset: usize,
    pub name: &'a [u8],
}

/// All of them, in the order of addresses, with their names behind one another.
pub struct Mappings<'a, O: Os> {
    /// Start, end and offset of each; where its name begins, and ends: there is a null.
    rows: Scratch<'a, [usize; 5], O>,
    names: Scratch<'a, u8, O>,
    count: usize,
}

/// Mappings and bytes of names that are kept at most: touched only as far as there are any.
const MAPPINGS: usize = 16 * 1024;
const NAMES: usize = 1024 * 1024;

impl<'a, O: Os> Mappings<'a, O> {
    /// Those of now; none where nobody says.
    pub fn read(os: &'a O) -> Option<Self> {
        let (mut rows, mut names) = (Scratch::new(os, MAPPINGS)?, Scratch::new(os, NAMES)?);
        let (mut count, mut from) = (0, 0);
        for_each(os, |mapping| {
            let end = from + mapping.name.len();
            if let (Some(row), Some(name)) = (rows.get_mut(count), names.get_mut(from..end)) {
                name.iter_mut().zip(mapping.name).for_each(|(to, from)| *to = *from);
                *row = [mapping.start, mapping.end, mapping.offset, from, end];
                (count, from) = (count + 1, end + 1);
            }
        });
        Some(Mappings { rows, names, count })
    }

    pub fn iter(&self) -> impl Iterator<Item = Mapping<'_>> {
        self.rows.iter().take(self.count).map(|&[start, end, offset, from, to]| Mapping {
            start,
            end,
            offset,
            name: self.names.get(from..to).unwrap_or(&[]),
        })
    }

    /// The build id of the file that a mapping is of.
    pub fn build_id(&self, at: usize) -> BuildId {
        let name = self.rows.get(at).and_then(|&[.., from, to]| self.names.get(from..=to));
        BuildId::of(name.and_then(|name| CStr::from_bytes_with_nul(name).ok()).unwrap_or_default())
    }

    /// The mapping that an address is in, and its place among them.
    pub fn of(&self, address: usize) -> Option<(usize, Mapping<'_>)> {
        let rows = self.rows.get(..self.count).unwrap_or(&[]);
        let at = rows.partition_point(|&[start, ..]| start <= address).checked_sub(1)?;
        let mapping = self.iter().nth(at).filter(|mapping| address < mapping.end)?;
        Some((at, mapping))
    }
}

const LINE: usize = 8192;

/// Calls `f` with each executable mapping, in the order of addresses. False where nobody says.
fn for_each<O: Os>(os: &O, mut f: impl FnMut(&Mapping)) -> bool {
    let maps = Descriptor::open(c"/proc/self/maps");
    let (Ok(file), Some(mut text)) = (maps, Scratch::<u8, O>::new(os, LINE)) else { return false };
    let mut len = 0;
    loop {
        let Ok(got) = file.read(text.get_mut(len..).unwrap_or(&mut [])) else { return false };
        len += got;
        let mut begin = 0;
        let end_of_line = |from| text.get(from..len)?.iter().position(|&byte| byte == b'\n');
        while let Some(chars) = end_of_line(begin) {
            let line = text.get(begin..begin + chars).unwrap_or(&[]);
            parse(line).iter().for_each(&mut f);
            begin += chars + 1;
        }
        // What is left of a line comes first.
        for at in begin..len {
            let byte = text.get(at).copied().unwrap_or(0);
            text.get_mut(at - begin).into_iter().for_each(|place| *place = byte);
        }
        len -= begin;
        // The end, or a line that is too long to be one.
        if got == 0 || len == LINE {
            return true;
        }
    }
}

/// A line: `start-end rwxp offset dev inode   name`.
fn parse(line: &[u8]) -> Option<Mapping<'_>> {
    let access = line.get(line.iter().position(|&byte| byte == b' ')? + 1..)?;
    // Most lines are none of code, and are read no further.
    if access.get(2) != Some(&b'x') {
        return None;
    }
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let (range, _, offset) = (words.next()?, words.next()?, words.next()?);
    let (start, end) = range.split_at_checked(range.iter().position(|&byte| byte == b'-')?)?;
    let (_, inode) = (words.next()?, words.next()?);
    // The name is the rest of the line, with whatever blanks it has.
    let behind = inode.as_ptr_range().end as usize - line.as_ptr() as usize;
    let name = line.get(behind..).unwrap_or(&[]).trim_ascii_start();
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    let mapping = Mapping {
        start: hexadecimal(start)?,
        end: hexadecimal(end.get(1..)?)?,
        offset: hexadecimal(offset)?,
        name,
    };
    (!name.is_empty()).then_some(mapping)
}

fn hexadecimal(text: &[u8]) -> Option<usize> {
    text.iter()
        .try_fold(0usize, |sum, &byte| Some(sum.checked_mul(16)? + (byte as char).to_digit(16)? as usize))
}

/// The build id of a file, in hexadecimal digits.
pub struct BuildId {
    digits: Checked<u8, 128>,
    len: usize,
}

impl BuildId {
    pub fn digits(&self) -> &[u8] {
        self.digits.first(self.len)
    }

    /// Of the file of a name; empty where it has none, or is none.
    fn of(name: &CStr) -> BuildId {
        let mut id = BuildId { digits: Checked([0; 128]), len: 0 };
        _ = id.find(name);
        id
    }

    fn find(&mut self, name: &CStr) -> Option<()> {
        if !name.to_bytes().starts_with(b"/") {
            return None;
        }
        let file = Descriptor::open(name).ok()?;
        let mut head = [0u8; 64];
        read_at(&file, 0, &mut head)?;
        if !head.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let (headers, each, count) = (word8(&head, 32)?, word2(&head, 54)?, word2(&head, 56)?);
        for at in 0..count {
            const PT_NOTE: usize = 4;
            let mut header = [0u8; 56];
            read_at(&file, headers.checked_add(at * each)?, &mut header)?;
            if word4(&header, 0)? == PT_NOTE
                && self.find_in_notes(&file, word8(&header, 8)?, word8(&header, 32)?).is_some()
            {
                break;
            }
        }
        Some(())
    }

    /// Each note: lengths of its name and its contents, its kind, both of them padded to words.
    fn find_in_notes(&mut self, file: &Descriptor, at: usize, len: usize) -> Option<()> {
        const NT_GNU_BUILD_ID: usize = 3;
        let mut notes = [0u8; 1024];
        let notes = notes.get_mut(..len.min(1024))?;
        read_at(file, at, notes)?;
        let mut rest: &[u8] = notes;
        loop {
            let (name, contents, kind) = (word4(rest, 0)?, word4(rest, 4)?, word4(rest, 8)?);
            let from = 12 + name.next_multiple_of(4);
            if kind == NT_GNU_BUILD_ID && rest.get(12..12 + name) == Some(b"GNU\0") {
                for &byte in rest.get(from..from + contents)? {
                    for digit in [byte >> 4, byte & 0xf] {
                        let digit = if digit < 10 { b'0' + digit } else { b'a' - 10 + digit };
                        *self.digits.0.get_mut(self.len)? = digit;
                        self.len += 1;
                    }
                }
                return Some(());
            }
            rest = rest.get(from + contents.next_multiple_of(4)..)?;
        }
    }
}

/// Fills all of `into` from a file.
fn read_at(file: &Descriptor, at: usize, into: &mut [u8]) -> Option<()> {
    let len = into.len();
    (file.read_at(at, into).ok()? == len).then_some(())
}

fn word8(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize)
}

fn word4(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize)
}

fn word2(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize)
}

/// Writes a name as a string of JSON has it: bytes that it may not have are question marks.
pub fn put_json(out: &mut impl Sink, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.put(&[b'\\', byte]),
            0x20..0x7f => out.put(&[byte]),
            _ => out.put(b"?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sim::Sim;

    #[test]
    fn a_line_is_read_with_blanks_in_its_name() {
        let line = b"7f0000001000-7f0000003000 r-xp 00001000 08:01 1234      /a b/lib c.so (deleted)";
        let mapping = parse(line).expect("code");
        assert_eq!((mapping.start, mapping.end), (0x7f00_0000_1000, 0x7f00_0000_3000));
        assert_eq!((mapping.offset, mapping.name), (0x1000, &b"/a b/lib c.so"[..]));
        assert!(parse(b"7f0000001000-7f0000003000 rw-p 00000000 00:00 0 ").is_none());
        assert!(parse(b"7ffd000-7ffe000 r-xp 00000000 00:00 0      [vdso]").is_some());
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri runs no executable")]
    fn this_test_is_in_a_mapping() {
        let (here, mut found) = (parse as *const () as usize, false);
        assert!(for_each(&Sim::new(), |mapping| found |= (mapping.start..mapping.end).contains(&here)));
        assert!(found);
        assert!(BuildId::of(c"/proc/self/maps").digits().is_empty());
    }
}
