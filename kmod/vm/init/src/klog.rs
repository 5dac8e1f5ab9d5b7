// SPDX-License-Identifier: GPL-2.0
//! The kernel's log, read from /dev/kmsg.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

/// One record: how bad (0 emergency … 4 warning … 7 debug), and what.
pub struct Record {
    pub level: u8,
    pub text: String,
}

/// Where the log stands; later records are read from here.
pub struct Reader(File);

impl Reader {
    /// From now on.
    pub fn from_now() -> std::io::Result<Reader> {
        use std::io::{Seek, SeekFrom};
        let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Reader(file))
    }

    /// Everything logged since the last call. Where the kernel had to drop records, one that says so.
    pub fn records(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            match self.0.read(&mut buffer) {
                Ok(len) => records.push(parse(&String::from_utf8_lossy(&buffer[..len]))),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return records,
                // EPIPE, once; the next read goes on with the oldest record that is left.
                Err(error) => records.push(Record { level: 3, text: format!("records were lost: {error}") }),
            }
        }
    }
}

/// `6,339,5140900,-;text\n KEY=value`: the low three bits of the first number are the level.
fn parse(record: &str) -> Record {
    let (head, rest) = record.split_once(';').unwrap_or(("", record));
    let priority: u32 = head.split(',').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Record { level: (priority & 7) as u8, text: rest.lines().next().unwrap_or("").to_string() }
}
