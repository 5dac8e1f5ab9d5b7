//! A process that looks at a file through MAP_SHARED again and again, and tells what changed.
//!
//! ```text
//!   poll ── guarded copy ── same bytes ───────────────────────────▶ (nothing)
//!             │   └──────── other bytes ──────────────────────────▶ Changed, a run of bytes each
//!             └─ SIGBUS ─── file is shorter ── map what is left ──▶ Truncated
//!   fstat ──── another length ──────────────── map it anew ───────▶ Resized
//! ```

use std::fmt;
use std::fs::File;

use serde::{Deserialize, Serialize};

use brkmap_base::error::{During, Error};
use brkmap_demos::mapping::{FileView, Mapping};
use brkmap_demos::proof::frames::Frame;
use brkmap_demos::sigbus::guarded;

/// More than this is not compared at each poll.
pub const WATCHED_AT_MOST: u64 = 64 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Mapped {
        pid: u32,
        length: u64,
        frame: Frame,
    },
    Changed {
        offset: usize,
        before: String,
        after: String,
        frame: Frame,
    },
    /// The kernel sent SIGBUS for a page behind the file's new end.
    Truncated {
        sigbus_offset: usize,
        length: u64,
    },
    Resized {
        length: u64,
    },
    Ended,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Mapped { pid, length, frame } => {
                write!(f, "process {pid} maps {length} bytes MAP_SHARED; first page: {frame}")
            }
            Event::Changed { offset, before, after, frame } => {
                write!(f, "offset {offset}: {before:?} became {after:?} ({frame})")
            }
            Event::Truncated { sigbus_offset, length } => {
                write!(f, "SIGBUS at offset {sigbus_offset}: the file was truncated to {length} bytes")
            }
            Event::Resized { length } => write!(f, "the file has {length} bytes now; mapped anew"),
            Event::Ended => f.write_str("unmapped, done"),
        }
    }
}

#[derive(Debug)]
pub struct Watcher {
    file: File,
    /// None while the file is empty: there is nothing to map.
    view: Option<FileView>,
    seen: Vec<u8>,
    length: u64,
}

impl Watcher {
    pub fn start(file: File) -> Result<(Watcher, Event), Error> {
        let mut watcher = Watcher { file, view: None, seen: Vec::new(), length: 0 };
        watcher.map_anew()?;
        let frame = watcher.frame(0)?;
        let event = Event::Mapped { pid: std::process::id(), length: watcher.length, frame };
        Ok((watcher, event))
    }

    /// What happened since the last poll.
    pub fn poll(&mut self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        if let Some(view) = &self.view {
            let mut now = vec![0; self.seen.len()];
            match guarded(view, || view.copy_out(0, &mut now)) {
                Ok(()) => {
                    for (offset, len) in runs(&self.seen, &now) {
                        let text =
                            |bytes: &[u8]| String::from_utf8_lossy(&bytes[offset..offset + len]).into_owned();
                        let (before, after) = (text(&self.seen), text(&now));
                        events.push(Event::Changed { offset, before, after, frame: self.frame(offset)? });
                    }
                    self.seen = now;
                }
                Err(bus) => {
                    let sigbus_offset = bus.addr - view.addr();
                    self.map_anew()?;
                    events.push(Event::Truncated { sigbus_offset, length: self.length });
                    return Ok(events);
                }
            }
        }
        if self.file_length()? != self.length {
            self.map_anew()?;
            events.push(Event::Resized { length: self.length });
        }
        Ok(events)
    }

    /// Maps the file as long as it is now, and remembers its bytes. It may shrink meanwhile: then
    /// once more.
    fn map_anew(&mut self) -> Result<(), Error> {
        loop {
            self.length = self.file_length()?;
            self.view = None;
            self.seen.clear();
            if self.length == 0 {
                return Ok(());
            }
            let len = usize::try_from(self.length.min(WATCHED_AT_MOST)).during("fit the file into memory")?;
            let view = FileView::map(&self.file, len)?;
            self.seen.resize(len, 0);
            if guarded(&view, || view.copy_out(0, &mut self.seen)).is_ok() {
                self.view = Some(view);
                return Ok(());
            }
        }
    }

    fn file_length(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().during("ask for the file's length")?.len())
    }

    fn frame(&self, offset: usize) -> Result<Frame, Error> {
        self.view.as_ref().map_or(Ok(Frame::None), |view| Frame::of(view.page_at(offset)))
    }
}

/// The stretches of bytes that differ, as (offset, length).
fn runs(before: &[u8], after: &[u8]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    if before == after {
        return runs;
    }
    for offset in (0..before.len()).filter(|&offset| before[offset] != after[offset]) {
        match runs.last_mut() {
            Some((start, len)) if *start + *len == offset => *len += 1,
            _ => runs.push((offset, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn differing_bytes_are_joined_into_runs() {
        assert_eq!(runs(b"########", b"########"), []);
        assert_eq!(runs(b"########", b"#99##9##"), [(1, 2), (5, 1)]);
    }
}
