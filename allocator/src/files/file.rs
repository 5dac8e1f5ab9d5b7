//! A file that a profile goes to, by its descriptor.
#![forbid(unsafe_code)]

use super::sink::{Sink, fill};
use crate::base::checked::Checked;
use crate::os::descriptor::{Descriptor, Errno};
use core::ffi::CStr;

const ROOM: usize = 4096;

pub struct File {
    descriptor: Descriptor,
    bytes: Checked<u8, ROOM>,
    len: usize,
    error: Option<Errno>,
}

impl File {
    /// A new file, or one that is written anew.
    pub fn create(name: &CStr) -> Result<File, Errno> {
        let descriptor = Descriptor::create(name)?;
        Ok(File { descriptor, bytes: Checked([0; ROOM]), len: 0, error: None })
    }

    /// Writes what is left; what went wrong, if anything did.
    pub fn finish(mut self) -> Result<(), Errno> {
        self.flush();
        self.error.map_or(Ok(()), Err)
    }

    fn flush(&mut self) {
        let mut rest = self.bytes.first(self.len);
        while !rest.is_empty() && self.error.is_none() {
            match self.descriptor.write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or(&[]),
                Err(error) => self.error = Some(error),
            }
        }
        self.len = 0;
    }
}

impl Sink for File {
    fn put(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.len == ROOM {
                self.flush();
            }
            self.len += fill(self.bytes.0.get_mut(self.len..).unwrap_or(&mut []), &mut rest);
        }
    }
}

/// A file's name, from a pattern: `%p` is the process's number, `%n` which file of it this is.
pub struct Name {
    bytes: Checked<u8, 512>,
    len: usize,
}

impl Name {
    pub fn new(pattern: &[u8], process: u64, number: u64) -> Name {
        let mut name = Name { bytes: Checked([0; 512]), len: 0 };
        let mut rest = pattern.iter();
        while let Some(&byte) = rest.next() {
            match (byte, rest.as_slice().first()) {
                (b'%', Some(b'p')) => name.put_number(process),
                (b'%', Some(b'n')) => name.put_number(number),
                (b'%', Some(b'%')) => name.put(b"%"),
                _ => {
                    name.put(&[byte]);
                    continue;
                }
            }
            rest.next();
        }
        name
    }

    /// None where it was too long.
    pub fn as_c_str(&self) -> Option<&CStr> {
        let bytes = self.bytes.0.get(..self.len + 1)?;
        CStr::from_bytes_with_nul(bytes).ok()
    }
}

impl Sink for Name {
    fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(place) = self.bytes.0.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_processs_number_in_it() {
        let name = |pattern: &str| Name::new(pattern.as_bytes(), 1234, 2).as_c_str().map(CStr::to_owned);
        assert_eq!(name("heap.%p.%n.pb.gz").as_deref(), Some(c"heap.1234.2.pb.gz"));
        assert_eq!(name("100%%x%").as_deref(), Some(c"100%x%"));
        assert_eq!(name(&"long".repeat(200)), None);
    }
}
