//! malloc(10): out of the break, which moves only now and then.
//!
//! ```text
//!   program | heap ▓▓▓▓▓▓▓▓▓▓▓░░░░░░|            …            | mappings | stack
//!                             free  └ the break
//! ```

use std::alloc::Layout;
use std::ptr::NonNull;

use brkmap::{BreakMode, Stats};
use brkmap_base::error::Error;
use brkmap_demos::proof::frames::Frame;
use brkmap_demos::proof::maps;
use brkmap_demos::report::Report;
use brkmap_witness::program_break;

use crate::GLOBAL;
use crate::block::Block;

/// What a block of 10 bytes takes at least.
const SIZE: usize = 10;
/// Give up when so many blocks of 10 bytes have not moved the break.
const AT_MOST: usize = 4 << 20;

pub fn one(report: &mut Report) -> Result<(), Error> {
    report.step("malloc(10)");
    let before = program_break();
    let block = Block::new(SIZE)?;
    let after = program_break();
    block.touch();
    let mode = Stats::read().break_mode;
    report.fact("break_mode", mode.map(BreakMode::name));
    let line = maps::line_of(block.addr())?.unwrap_or_default();
    report.note(format!(
        "break mode: {}; the block: {:#x}",
        mode.map_or("none", BreakMode::name),
        block.addr()
    ));
    report.note(format!("break before: {before:#x}, after: {after:#x}"));
    let claim = "the block lies below the break, in the heap";
    if real_break(mode) {
        report.claim(block.addr() < after && line.contains("[heap]"), claim, line);
    } else {
        report.skip(claim, "in this break mode the arena is not the program break");
    }
    report.note(format!(
        "the article (demos/README.md) says that malloc(10) calls brk; here the break moved by {} bytes: one move serves \
         many blocks",
        after - before
    ));

    report.step("free of it");
    let (addr, frame) = (block.addr(), Frame::of(block.addr())?);
    // Asked right around it: telling all this takes memory too.
    let before = program_break();
    drop(block);
    let after = program_break();
    let still = Frame::of(addr)?;
    report.claim(
        before == after && frame != Frame::None && still != Frame::None,
        "nothing goes back to the kernel: the break stays, the page keeps its frame",
        format!("break before: {before:#x}, after: {after:#x}; page before: {frame}, after: {still}"),
    );
    Ok(())
}

pub fn many(report: &mut Report) -> Result<(), Error> {
    report.step("malloc(10) again and again, until the break moves");
    let before = program_break();
    let mut chain = Chain::default();
    while program_break() == before && chain.blocks < AT_MOST {
        chain.add()?;
    }
    let (after, blocks) = (program_break(), chain.blocks);
    let grown = after.saturating_sub(before);
    let why = format!("{blocks} blocks, then {before:#x} became {after:#x}: {} KiB", grown >> 10);
    report.fact("blocks_until_break_moves", blocks);
    let claim = "brk is called once for many blocks";
    if real_break(Stats::read().break_mode) {
        report.claim(after > before && blocks > 100, claim, why);
    } else {
        report.skip(claim, "in this break mode the arena grows without the program break");
    }

    report.step("free them all, then trim");
    let inside = chain.last.map_or(0, |block| block.as_ptr().addr());
    let (high, full) = (program_break(), maps::smaps_bytes(inside, "Rss")?.unwrap_or(0));
    drop(chain);
    GLOBAL.trim();
    let (low, empty) = (program_break(), maps::smaps_bytes(inside, "Rss")?.unwrap_or(0));
    report.claim(
        empty + (blocks * SIZE / 2) as u64 <= full,
        "the pages go back",
        format!("smaps: Rss of the heap was {} KiB and is {} KiB", full >> 10, empty >> 10),
    );
    let why = format!("{high:#x}, then {low:#x}");
    match Stats::read().break_mode {
        Some(BreakMode::Break) => report.claim(low < high, "the break is lowered", why),
        _ => report.claim(
            low == high,
            "the addresses stay: only a brkmap that owns the break (the preload library) lowers it",
            why,
        ),
    }
    Ok(())
}

/// Whether the arena grows by the program break itself.
fn real_break(mode: Option<BreakMode>) -> bool {
    matches!(mode, Some(BreakMode::Break))
}

/// Blocks of 10 bytes, each holding the address of the one before: they need no memory besides.
#[derive(Default)]
struct Chain {
    last: Option<NonNull<u8>>,
    layout: Option<Layout>,
    blocks: usize,
}

impl Chain {
    fn add(&mut self) -> Result<(), Error> {
        let block = Block::new(SIZE)?;
        // SAFETY: the block has 10 bytes, aligned to 8.
        unsafe { block.start().cast::<Option<NonNull<u8>>>().write(self.last) };
        let (start, layout) = block.into_raw();
        (self.last, self.layout) = (Some(start), Some(layout));
        self.blocks += 1;
        Ok(())
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        while let (Some(start), Some(layout)) = (self.last, self.layout) {
            // SAFETY: `add` wrote it, and each block is visited once.
            self.last = unsafe { start.cast::<Option<NonNull<u8>>>().read() };
            // SAFETY: from `into_raw` in `add`.
            drop(unsafe { Block::from_raw(start, layout) });
        }
    }
}
