//! malloc(10 MiB): a mapping of its own, that comes without frames and goes without a trace.

use brkmap::Stats;
use brkmap_base::error::Error;
use brkmap_demos::proof::faults::during;
use brkmap_demos::proof::frames::Frame;
use brkmap_demos::proof::maps;
use brkmap_demos::report::Report;
use brkmap_witness::program_break;

use crate::block::Block;

const LARGE: usize = 10 << 20;

pub fn come_and_go(report: &mut Report) -> Result<(), Error> {
    report.step("malloc(10 MiB)");
    let old_maps = maps::now()?;
    // Reading the maps takes memory itself.
    let old_break = program_break();
    let block = Block::new(LARGE)?;
    let (new_break, addr) = (program_break(), block.addr());
    let line = maps::line_of(addr)?;
    report.claim(
        new_break == old_break,
        "the break does not move",
        format!("{old_break:#x}, then {new_break:#x}"),
    );
    let unmapped = old_maps.covering(addr).is_none();
    report.claim(
        unmapped && line.is_some(),
        "where nothing was mapped there is an area now",
        line.unwrap_or_else(|| "no line in maps".into()),
    );

    report.step("touch it, page after page");
    block.small_pages();
    let frames = block.frames()?;
    let bare = frames.iter().filter(|&&frame| frame == Frame::None).count();
    report.note(format!("{} pages, {bare} of them without a frame", frames.len()));
    report.claim(
        bare + 1 >= frames.len(),
        "memory that malloc returned is no memory yet",
        format!("pagemap: {} of {} pages have a frame", frames.len() - bare, frames.len()),
    );
    let ((), faults) = during(|| block.touch());
    report.fact("first_touch_faults", faults);
    report.claim(faults.all() == bare as u64, "one fault for each page without a frame", faults.to_string());
    let ((), again) = during(|| block.touch());
    report.claim(again.all() == 0, "and none for the second touch", again.to_string());

    report.step("free of it");
    let resident = maps::smaps_bytes(addr, "Rss")?.unwrap_or(0);
    drop(block);
    let line = maps::line_of(addr)?;
    report.claim(
        line.is_none(),
        "the area has vanished, its frames with it",
        line.unwrap_or_else(|| {
            format!("no line in maps covers {addr:#x}; {resident} bytes were in memory there")
        }),
    );
    report.claim(
        program_break() == old_break,
        "the break has not moved in all this",
        format!("{:#x}", program_break()),
    );
    report.note(format!(
        "brkmap keeps {} bytes of freed mappings at the moment: a bounded few are kept for reuse",
        Stats::read().cached_bytes
    ));
    Ok(())
}

pub fn exact(report: &mut Report) -> Result<(), Error> {
    let threshold = Stats::read().mmap_threshold;
    report.step(format!("the threshold: malloc({}) and malloc({threshold})", threshold - 1));
    let mappings = || Stats::read().large_blocks;
    let none = mappings();
    let below = Block::new(threshold - 1)?;
    let same = mappings();
    let from = Block::new(threshold)?;
    let one = mappings();
    report.claim(
        same == none && one == none + 1,
        "from the threshold on, each block is a mapping of its own",
        format!("brkmap's mappings: {none}, {same} with the smaller block, {one} with the larger"),
    );
    let (page_below, page_from) = (maps::line_of(below.addr())?, maps::line_of(from.addr())?);
    report.note(format!("{:#x}: {}", below.addr(), page_below.unwrap_or_default()));
    report.note(format!("{:#x}: {}", from.addr(), page_from.unwrap_or_default()));
    Ok(())
}
