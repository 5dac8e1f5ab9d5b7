//! The end of a file in a mapping: zeros to the end of the page, then SIGBUS.
//!
//! ```text
//!   file      |########|########|###|
//!   mapping   |########|########|###00000|   no page   |
//!                                         └ SIGBUS from here on
//! ```

use std::fs::File;

use brkmap_base::error::Error;
use brkmap_demos::child::{Child, how};
use brkmap_demos::mapping::{FileView, Mapping};
use brkmap_demos::report::Report;
use brkmap_demos::sigbus::{Bus, guarded};
use brkmap_witness::page_size;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

pub fn tail(report: &mut Report, file: &File, length: usize) -> Result<(), Error> {
    report.step(format!("the last page of {length} bytes"));
    let (claim, tail) = ("the rest of the last page reads as zeros", length % page_size());
    if tail == 0 {
        report.skip(claim, "the file ends at the end of a page");
        return Ok(());
    }
    let view = FileView::map(file, length)?;
    let end = length.next_multiple_of(page_size());
    let zeros = (length..end).filter(|&offset| view.load(offset) == 0).count();
    report.claim(zeros == end - length, claim, format!("{zeros} zeros from {length} to {end}"));
    Ok(())
}

pub fn sigbus(report: &mut Report, file: &File, length: usize) -> Result<(), Error> {
    report.step("a mapping one page longer than the file");
    let end = length.next_multiple_of(page_size());
    let view = FileView::map(file, end + page_size())?;
    // SAFETY: this program has started no thread.
    let child = unsafe {
        Child::start(|| {
            let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
            std::hint::black_box(view.load(end));
            Ok(())
        })
    }?;
    let status = child.wait()?;
    report.claim(
        matches!(status, WaitStatus::Signaled(_, Signal::SIGBUS, _)),
        "mmap allows it, touching the page behind the end is SIGBUS",
        format!("a child that did it {}", how(status)),
    );
    let last = guarded(&view, || view.load(end - 1)).is_ok();
    let caught = guarded(&view, || view.load(end));
    report.claim(
        last && caught.is_err_and(|bus| bus.addr == view.addr() + end),
        "the guard turns it into an error; one byte before it there is nothing to catch",
        match caught {
            Ok(byte) => format!("the byte read is {byte}; the area starts at {:#x}", view.addr()),
            Err(Bus { addr }) => format!("SIGBUS at {addr:#x}, the area starts at {:#x}", view.addr()),
        },
    );
    Ok(())
}
