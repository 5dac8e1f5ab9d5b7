//! The physical frame behind an address, from /proc/self/pagemap.

use std::fmt;

use procfs::process::{MemoryPageFlags, PageInfo, Process};
use serde::{Deserialize, Serialize};

use brkmap_base::error::{During, Error};
use brkmap_witness::page_size;

/// What a page table entry points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// No entry: the page was never touched, or was given back.
    None,
    Swapped,
    /// There, but its number is only shown to CAP_SYS_ADMIN.
    Hidden,
    Number(u64),
}

pub const NEEDS: &str = "frame numbers are only shown to CAP_SYS_ADMIN; run as root";

impl Frame {
    pub fn of(addr: usize) -> Result<Frame, Error> {
        let mut pagemap = Process::myself().and_then(|me| me.pagemap()).during("open /proc/self/pagemap")?;
        let info = pagemap.get_info(addr / page_size()).during("read /proc/self/pagemap")?;
        Ok(match info {
            PageInfo::SwapPage(_) => Frame::Swapped,
            PageInfo::MemoryPage(flags) if !flags.contains(MemoryPageFlags::PRESENT) => Frame::None,
            PageInfo::MemoryPage(flags) => match flags.get_page_frame_number().0 {
                0 => Frame::Hidden,
                number => Frame::Number(number),
            },
        })
    }

    /// The frames of `pages` pages from `addr` on.
    pub fn of_range(addr: usize, pages: usize) -> Result<Vec<Frame>, Error> {
        (0..pages).map(|page| Frame::of(addr + page * page_size())).collect()
    }

    /// Whether two entries point to the same frame; `Err` with the reason when that is hidden.
    pub fn same_as(self, other: Frame) -> Result<bool, String> {
        match (self, other) {
            (Frame::Hidden, Frame::Hidden) => Err(NEEDS.to_owned()),
            (Frame::Number(one), Frame::Number(two)) => Ok(one == two),
            _ => Ok(false),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Frame::None => f.write_str("no frame"),
            Frame::Swapped => f.write_str("in swap"),
            Frame::Hidden => f.write_str("a frame, number hidden"),
            Frame::Number(number) => write!(f, "frame {number:#x}"),
        }
    }
}
