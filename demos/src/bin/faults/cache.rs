//! A file's pages: from the disk (major faults), then from the page cache (minor faults).

use std::fs::File;

use brkmap_base::error::{During, Error};
use brkmap_demos::mapping::{FileView, Mapping, PrivateFile};
use brkmap_demos::proof::faults::during;
use brkmap_demos::proof::frames::Frame;
use brkmap_demos::proof::residency::{count, resident};
use brkmap_demos::report::Report;
use brkmap_witness::Faults;
use brkmap_witness::page_size;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::mman::MmapAdvise;

/// Far enough apart that no block of any file system holds two of them.
const STRIDE: usize = 32;
const TOUCHES: usize = 4;
/// More than this is not needed to show it.
const MAPPED_AT_MOST: usize = 64 << 20;

pub fn cold_and_warm(report: &mut Report, file: &File, length: usize) -> Result<(), Error> {
    let length = length.min(MAPPED_AT_MOST);
    let pages = length.div_ceil(page_size());
    report.step(format!("the file's first {pages} pages, dropped from the page cache"));
    if pages < STRIDE * TOUCHES {
        report.skip(
            "major faults, readahead",
            format!("the file should have {} pages at least", STRIDE * TOUCHES),
        );
        return populated(report, file, length);
    }
    if let Some(reason) = drop_cache(file, length)? {
        report.skip("major faults, readahead", reason);
        return populated(report, file, length);
    }
    let view = FileView::map(file, length)?;
    report.note(format!("mincore: 0 of {pages} pages in memory"));
    view.advise(MmapAdvise::MADV_NORMAL)?;
    let (_, faults) = during(|| view.load(0));
    let ahead = count(&resident(&view)?);
    report.claim(faults.major == 1, "the first touch is a major fault", format!("{faults}"));
    report.claim(
        ahead > 1,
        "readahead brings its neighbours along",
        format!("mincore: 1 page touched, {ahead} in memory"),
    );
    let mapped = Frame::of_range(view.addr(), pages)?.iter().filter(|&&frame| frame != Frame::None).count();
    report.note(format!("of those, {mapped} got their page table entry by the same fault (fault-around)"));
    report.fact("readahead_pages", ahead);
    report.fact("fault_around_pages", mapped);
    let (_, faults) = during(|| view.load(page_size()));
    report.claim(faults.major == 0, "the next page needs no disk", format!("{faults}"));
    drop(view);

    report.step(format!("dropped again; MADV_RANDOM; {TOUCHES} pages, {STRIDE} apart"));
    match drop_cache(file, length)? {
        Some(reason) => report.skip("without readahead", reason),
        None => {
            let view = FileView::map(file, length)?;
            view.advise(MmapAdvise::MADV_RANDOM)?;
            let faults = touch(&view, STRIDE, TOUCHES);
            let why = format!("{faults}; mincore: {} in memory", count(&resident(&view)?));
            report.claim(
                faults.major == TOUCHES as u64,
                "without readahead every touch goes to the disk",
                why,
            );
        }
    }

    report.step("mapped once more, everything being in the page cache");
    read_all(file, length)?;
    let view = FileView::map(file, length)?;
    let faults = touch(&view, 1, pages);
    report.claim(faults.major == 0, "no major fault", format!("{pages} pages: {faults}"));
    report.claim(
        faults.minor >= 1 && faults.minor <= pages as u64,
        "minor faults, at most one a page",
        format!("{} pages a fault by fault-around", pages as u64 / faults.minor.max(1)),
    );
    populated(report, file, length)
}

fn populated(report: &mut Report, file: &File, length: usize) -> Result<(), Error> {
    report.step("the file with MAP_POPULATE");
    let view = FileView::populated(file, length)?;
    let pages = length.div_ceil(page_size());
    let faults = touch(&view, 1, pages);
    report.claim(faults.all() == 0, "touching every page takes no fault", format!("{pages} pages: {faults}"));
    Ok(())
}

pub fn one_frame(report: &mut Report, file: &File, length: usize) -> Result<(), Error> {
    report.step("two shared mappings and a private one of the same page");
    let len = length.min(page_size());
    let (one, two) = (FileView::map(file, len)?, FileView::map(file, len)?);
    let private = PrivateFile::map(file, len)?;
    let value = [one.load(0), two.load(0), private.load(0)];
    let frames = [Frame::of(one.addr())?, Frame::of(two.addr())?, Frame::of(private.addr())?];
    let mut read = [0];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut read, 0).during("read the file")?;
    report.claim(value == [read[0]; 3], "all show what read(2) reads", format!("{value:?}, read: {read:?}"));
    let why = format!(
        "{:#x}: {}, {:#x}: {}, private {:#x}: {}",
        one.addr(),
        frames[0],
        two.addr(),
        frames[1],
        private.addr(),
        frames[2]
    );
    let same = frames[0].same_as(frames[1]).and_then(|a| Ok(a && frames[0].same_as(frames[2])?));
    report.claim_or_skip("three addresses, one frame: the page cache's", same.map(|same| (same, why)));
    Ok(())
}

fn touch(view: &FileView, stride: usize, touches: usize) -> Faults {
    let size = page_size();
    // Warm: the loop's own code and stack are not to be counted.
    let walk = |touches| (0..touches).fold(0, |sum: u8, at| sum.wrapping_add(view.load(at * stride * size)));
    std::hint::black_box(walk(0));
    let (sum, faults) = during(|| walk(touches));
    std::hint::black_box(sum);
    faults
}

fn read_all(mut file: &File, length: usize) -> Result<(), Error> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(0)).during("seek in the file")?;
    std::io::copy(&mut file.take(length as u64), &mut std::io::sink()).during("read the file")?;
    Ok(())
}

/// None when nothing of the file is in memory any more; otherwise why not.
fn drop_cache(file: &File, length: usize) -> Result<Option<String>, Error> {
    // Only clean pages can be dropped; a file we may not write has none of ours to write.
    let _ = file.sync_all();
    posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).during("drop the file's pages")?;
    let left = count(&resident(&FileView::map(file, length)?)?);
    Ok((left > 0).then(|| {
        format!(
            "{left} pages stay in memory after POSIX_FADV_DONTNEED: the file is in use, not ours, or its \
             file system has no disk (tmpfs)"
        )
    }))
}
