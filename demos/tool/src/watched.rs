//! The page that a process on brkmap shares with `BRKMAP_CONF=watch:on`, and what stands on it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use brkmap_base::error::{Error, Result};
use serde::Deserialize;

/// The name of the file behind the page, as the links in /proc/PID/fd have it.
const NAME: &str = "/memfd:brkmap-watch";
const MAGIC: [u8; 8] = *b"brkmap\x00\x01";
const HEAD: u64 = 64;

/// What a process on brkmap says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Moment {
    pub process: i32,
    /// When it was written, by the clock of the machine since its start.
    pub milliseconds: u64,
    pub statistics: Statistics,
    #[serde(default)]
    pub parts: Option<Vec<Part>>,
}

/// Sizes are in bytes.
#[derive(Clone, Debug, Deserialize)]
pub struct Statistics {
    pub allocated: u64,
    pub resident: u64,
    pub mapped: u64,
    pub metadata: u64,
    pub cached: u64,
    pub dirty: u64,
    pub small_bytes: u64,
    pub medium_bytes: u64,
    pub large_blocks: u64,
    pub cached_blocks: u64,
    pub heaps: u64,
    #[serde(rename = "break")]
    pub by_break: Option<Break>,
    pub calls: Vec<Calls>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Break {
    pub mode: String,
    pub start: u64,
    pub end: u64,
}

/// What was counted of a call for one reason.
#[derive(Clone, Debug, Deserialize)]
pub struct Calls {
    pub call: String,
    pub reason: String,
    pub calls: u64,
    pub bytes: u64,
    pub refused: u64,
}

/// An address, bytes, and what they are used for: slabs, chunks, spans, large, cached, dirty, free, tables.
pub type Part = (u64, u64, String);

/// A process's page.
pub struct Page(File);

impl Page {
    /// The page of a process; None where it shares none.
    pub fn of(pid: i32) -> Result<Option<Page>> {
        let folder = format!("/proc/{pid}/fd");
        let why = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::Failed(format!("there is no process {pid}")),
            io::ErrorKind::PermissionDenied => Error::Failed(format!(
                "process {pid} is another user's: only its own, or root, may look at it"
            )),
            _ => Error::Failed(format!("{folder}: {error}")),
        };
        for entry in std::fs::read_dir(&folder).map_err(why)?.flatten() {
            let path = entry.path();
            let named = std::fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().starts_with(NAME));
            // A fork's child has its parent's too.
            if named
                && let Ok(file) = File::open(&path)
                && word(&file, 24) == Some(pid as u64)
            {
                return Ok(Some(Page(file)));
            }
        }
        Ok(None)
    }

    /// What it shows; None where nothing was written yet.
    pub fn read(&self) -> Result<Option<Moment>> {
        for _ in 0..200 {
            let turn = word(&self.0, 8).unwrap_or(1);
            let bytes = word(&self.0, 16).unwrap_or(0) as usize;
            if turn == 0 {
                return Ok(None);
            }
            let mut text = vec![0; bytes.min(1 << 20)];
            let read = self.0.read_exact_at(&mut text, HEAD).is_ok();
            if read && turn.is_multiple_of(2) && word(&self.0, 8) == Some(turn) {
                return match serde_json::from_slice(&text) {
                    Ok(moment) => Ok(Some(moment)),
                    Err(error) => {
                        Err(Error::Failed(format!("the process shows what this brkmap cannot read: {error}")))
                    }
                };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(Error::Failed("the process ended in the middle of writing its page".to_owned()))
    }
}

/// A word of the head, if it is one of a page.
fn word(file: &File, at: u64) -> Option<u64> {
    let (mut magic, mut word) = ([0; 8], [0; 8]);
    file.read_exact_at(&mut magic, 0).ok()?;
    file.read_exact_at(&mut word, at).ok()?;
    (magic == MAGIC).then(|| u64::from_le_bytes(word))
}

/// The page of a process that is to share one.
pub fn expected(pid: i32) -> Result<Page> {
    Page::of(pid)?.ok_or_else(|| {
        Error::Failed(format!(
            "process {pid} shares no page: it has to be on brkmap, and to be started with BRKMAP_CONF=watch:on \
             (`brkmap doctor {pid}` says whether it is on brkmap)"
        ))
    })
}
