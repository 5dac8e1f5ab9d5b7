//! realloc of a mapping: the frames go to another address, no byte is copied.

use brkmap_base::error::Error;
use brkmap_demos::proof::frames::{Frame, NEEDS};
use brkmap_demos::proof::syscalls;
use brkmap_demos::report::Report;

use crate::block::Block;

const BEFORE: usize = 1 << 20;
const AFTER: usize = 10 << 20;

pub fn keep_frames(report: &mut Report) -> Result<(), Error> {
    report.step("malloc(1 MiB), every page touched, then realloc to 10 MiB");
    let mut block = Block::new(BEFORE)?;
    block.touch();
    let (old_addr, old) = (block.addr(), block.frames()?);
    block.resize(AFTER)?;
    let new: Vec<Frame> = block.frames()?.into_iter().take(old.len()).collect();
    report.claim(
        block.touched(BEFORE),
        "every byte is where it was in the block",
        format!("the block was at {old_addr:#x} and is at {:#x}", block.addr()),
    );
    let same = old.iter().zip(&new).filter(|(old, new)| old.same_as(**new) == Ok(true)).count();
    let why =
        format!("{same} of {} pages have the frame they had; the first: {}, {}", old.len(), old[0], new[0]);
    let hidden = old.contains(&Frame::Hidden);
    let seen = if hidden { Err(NEEDS.to_owned()) } else { Ok((same == old.len(), why)) };
    report.claim_or_skip("the frames came along: nothing was copied", seen);
    drop(block);

    // What was freed may be kept for a moment, and a block that it lies behind grows into it.
    brkmap::trim();
    let work: syscalls::Work<'_> = Box::new(|| {
        let mut block = Block::new(BEFORE)?;
        block.touch();
        block.resize(AFTER)
    });
    let calls = syscalls::count(vec![work]).map(|mut counted| counted.remove(0));
    report.claim_or_skip(
        "one mremap does it",
        calls.map(|calls| {
            (calls.of("mremap") == 1, format!("the calls of malloc, realloc, free: {}", calls.words()))
        }),
    );
    Ok(())
}
