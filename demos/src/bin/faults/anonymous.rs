//! Memory without a file: an area first, frames one by one.

use brkmap_base::error::Error;
use brkmap_demos::mapping::{Mapping, PrivateAnonymous, Writable};
use brkmap_demos::proof::faults::during;
use brkmap_demos::proof::frames::Frame;
use brkmap_demos::proof::maps;
use brkmap_demos::report::Report;
use brkmap_witness::page_size;
use nix::sys::mman::MmapAdvise;

pub fn lazy(report: &mut Report, pages: usize) -> Result<(), Error> {
    report.step(format!("mmap {pages} pages, MAP_PRIVATE|MAP_ANONYMOUS"));
    // Where huge pages are on for everybody, one fault would bring 512 pages.
    let small_pages = |area: &PrivateAnonymous| area.advise(MmapAdvise::MADV_NOHUGEPAGE);
    let area = PrivateAnonymous::map(pages * page_size())?;
    small_pages(&area)?;

    let line = maps::line_of(area.addr())?;
    report.claim(line.is_some(), "there is an area", line.unwrap_or_else(|| "no line in maps".into()));
    let framed = framed(&area)?;
    let rss = maps::smaps_bytes(area.addr(), "Rss")?;
    report.claim(
        framed == 0 && rss == Some(0),
        "there is no frame",
        format!("pagemap: {framed} of {pages} pages have one; smaps: Rss {} bytes", rss.unwrap_or_default()),
    );

    report.step("read the first two pages, then write to one");
    let (value, read) = during(|| area.load(0) | area.load(page_size()));
    let (first, second) = (Frame::of(area.addr())?, Frame::of(area.page_at(page_size()))?);
    report.claim(
        value == 0 && read.all() == 2,
        "reading takes a fault each and finds zero",
        format!("{read}"),
    );
    let why = format!("first page: {first}, second: {second}");
    let same = first.same_as(second);
    report.claim_or_skip("both show the one frame of zeros that all processes share", same.map(|s| (s, why)));
    let ((), written) = during(|| area.store(0, 1));
    let own = Frame::of(area.addr())?;
    report.claim(written.all() == 1, "writing takes another fault", format!("{written}"));
    let why = format!("before: {first}, after: {own}");
    report.claim_or_skip("and brings a frame of its own", first.same_as(own).map(|same| (!same, why)));

    report.step("write to every page of a fresh area, page after page, then again");
    let area = PrivateAnonymous::map(pages * page_size())?;
    small_pages(&area)?;
    let ((), faults) = during(|| write_all(&area));
    report.fact("first_touch_faults", faults);
    report.claim(faults.all() == pages as u64, "one fault a page", format!("{pages} pages: {faults}"));
    let ((), again) = during(|| write_all(&area));
    report.claim(again.all() == 0, "the second touch takes none", format!("{again}"));
    Ok(())
}

pub fn populated(report: &mut Report, pages: usize) -> Result<(), Error> {
    report.step(format!("mmap {pages} pages with MAP_POPULATE"));
    let (area, mapping) = during(|| PrivateAnonymous::populated(pages * page_size()));
    let area = area?;
    let framed = framed(&area)?;
    report.claim(
        framed == pages,
        "every page has its frame when mmap returns",
        format!("pagemap: {framed} of {pages}; the call itself counts {mapping}"),
    );
    let ((), faults) = during(|| write_all(&area));
    report.claim(faults.all() == 0, "touching takes no fault", format!("{faults}"));
    Ok(())
}

fn write_all(area: &PrivateAnonymous) {
    for offset in (0..area.len()).step_by(page_size()) {
        area.store(offset, 1);
    }
}

fn framed(area: &PrivateAnonymous) -> Result<usize, Error> {
    let frames = Frame::of_range(area.addr(), area.len() / page_size())?;
    Ok(frames.iter().filter(|&&frame| frame != Frame::None).count())
}
