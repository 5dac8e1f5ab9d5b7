//! What the kernel and the memory of this machine ask for each thing that an allocator may spare.
//!
//! Each is the least CPU time of some rounds: whatever else the machine does only adds. A page's fault is with its way back to
//! the kernel, and a call without the pages that it gives back: those are in their faults.

use std::hint::black_box;
use std::ptr;
use std::time::Duration;

use brkmap_witness::{Faults, page_size};
use libc::c_void;

use super::line::Line;
use super::round;

const ROUNDS: usize = 15;
const TIMES: usize = 256;
const HUGE: usize = 2 << 20;
/// Of the memory that is faulted in: as much as a program of middle size has.
const LENGTH: usize = 16 << 20;

/// In picoseconds each; what cannot be had here is left out.
pub fn measure() -> Line {
    let mut line = Line::default();
    let mut add = |name: &str, cost: Option<Duration>, count: usize| {
        if let Some(cost) = cost {
            line = std::mem::take(&mut line)
                .with(&format!("{name}_ps"), (cost.as_nanos() * 1000 / count as u128) as u64);
        }
    };
    add("small_fault", least(small_faults), LENGTH / page_size());
    add("huge_fault", least(huge_faults), LENGTH / HUGE);
    add("copied_fault", least(copied_faults), LENGTH / page_size());
    add("brk", least(breaks), 2 * TIMES);
    add("mmap", least(|| mappings().map(|(map, _)| map)), TIMES);
    add("munmap", least(|| mappings().map(|(_, unmap)| unmap)), TIMES);
    add("mremap", least(moves), TIMES);
    add(
        "madvise",
        least(|| {
            over_a_page(|at, page| {
                // SAFETY: the page is the mapping's own, and nothing in it is needed.
                unsafe { libc::madvise(at, page, libc::MADV_DONTNEED) }
            })
        }),
        TIMES,
    );
    let mut open = false;
    add(
        "mprotect",
        least(|| {
            over_a_page(|at, page| {
                open = !open;
                let rights = if open { libc::PROT_READ } else { libc::PROT_READ | libc::PROT_WRITE };
                // SAFETY: the page is the mapping's own, and nobody touches it.
                unsafe { libc::mprotect(at, page, rights) }
            })
        }),
        TIMES,
    );
    add("refused", least(refusals), TIMES);
    add(
        "msync",
        least(|| {
            over_a_page(|at, page| {
                // SAFETY: the page is the mapping's own; there is no file to write to.
                unsafe { libc::msync(at, page, libc::MS_ASYNC) }
            })
        }),
        TIMES,
    );
    const BLOCK: usize = 16 << 10;
    add("clear_kib", least(|| Some(timed(|| round::clear(BLOCK, TIMES as u64)))), TIMES * BLOCK / 1024);
    add("copy_kib", least(|| Some(timed(|| round::copy(BLOCK, TIMES as u64)))), TIMES * BLOCK / 1024);
    line
}

fn least(mut once: impl FnMut() -> Option<Duration>) -> Option<Duration> {
    (0..ROUNDS).map(|_| once()).collect::<Option<Vec<_>>>()?.into_iter().min()
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let began = used();
    black_box(work());
    used() - began
}

/// CPU time of this thread: others run meanwhile.
fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to the structure given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A fresh private mapping; `None` where the kernel refuses it.
fn map(length: usize) -> Option<*mut c_void> {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: without an address the kernel picks one that nothing is at.
    let at = unsafe { libc::mmap(ptr::null_mut(), length, rights, flags, -1, 0) };
    (at != libc::MAP_FAILED).then_some(at)
}

fn unmap(at: *mut c_void, length: usize) {
    // SAFETY: the mapping is this file's own, and nothing refers to it any more.
    unsafe { libc::munmap(at, length) };
}

/// Writes a byte of each page.
fn touch(at: *mut c_void, length: usize, step: usize) {
    for offset in (0..length).step_by(step) {
        // SAFETY: within a mapping of `length` bytes that may be written.
        unsafe { at.cast::<u8>().add(offset).write_volatile(1) };
    }
}

fn small_faults() -> Option<Duration> {
    let at = map(LENGTH)?;
    // SAFETY: the mapping is ours. A kernel without huge pages refuses the advice, and needs none.
    unsafe { libc::madvise(at, LENGTH, libc::MADV_NOHUGEPAGE) };
    Some(timed(|| {
        touch(at, LENGTH, page_size());
        unmap(at, LENGTH);
    }))
}

/// `None` where the kernel gives no huge pages.
fn huge_faults() -> Option<Duration> {
    let at = map(LENGTH + HUGE)?;
    let inner = at.map_addr(|address| address.next_multiple_of(HUGE));
    // SAFETY: the range is within the mapping.
    let advised = unsafe { libc::madvise(inner, LENGTH, libc::MADV_HUGEPAGE) } == 0;
    let before = Faults::now();
    let took = timed(|| touch(inner, LENGTH, HUGE));
    let faulted = (Faults::now() - before).all();
    // Each of these touches another huge page; small ones would leave the rest of them cold.
    touch(inner, LENGTH, page_size());
    let are_huge = advised && (Faults::now() - before).all() < 2 * faulted.max(1);
    let back = timed(|| unmap(at, LENGTH + HUGE));
    are_huge.then_some(took + back)
}

/// Pages of a file that are read before, and copied when they are written.
fn copied_faults() -> Option<Duration> {
    let length = LENGTH;
    // SAFETY: the name is a C string; a descriptor or an error comes back.
    let file = unsafe { libc::memfd_create(c"calibration".as_ptr(), 0) };
    if file < 0 {
        return None;
    }
    // SAFETY: the descriptor is ours.
    let sized = unsafe { libc::ftruncate(file, length as libc::off_t) } == 0;
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // Not populated: that would write to them already.
    let flags = libc::MAP_PRIVATE;
    // SAFETY: without an address the kernel picks one that nothing is at.
    let at = unsafe { libc::mmap(ptr::null_mut(), length, rights, flags, file, 0) };
    // SAFETY: the descriptor is ours, and a mapping needs it no more.
    unsafe { libc::close(file) };
    if at == libc::MAP_FAILED {
        return None;
    }
    for offset in (0..length).step_by(page_size()) {
        // SAFETY: within the mapping, which may be read.
        black_box(unsafe { at.cast::<u8>().add(offset).read_volatile() });
    }
    let before = Faults::now();
    let took = timed(|| touch(at, length, page_size()));
    let copied = (Faults::now() - before).all() as usize >= length / page_size();
    let back = timed(|| unmap(at, length));
    (sized && copied).then_some(took + back)
}

/// Up by a page and down again.
fn breaks() -> Option<Duration> {
    let top = brkmap_witness::program_break();
    let set = |to: usize| {
        // SAFETY: the break goes up by a page that nobody uses, and back before anybody can ask for it: this
        // process has one thread here.
        unsafe { libc::syscall(libc::SYS_brk, to) as usize == to }
    };
    if !set(top + page_size()) || !set(top) {
        return None;
    }
    Some(timed(|| {
        for _ in 0..TIMES {
            set(top + page_size());
            set(top);
        }
    }))
}

/// What it takes to make so many mappings, and to unmap them.
fn mappings() -> Option<(Duration, Duration)> {
    const LENGTH: usize = 256 << 10;
    let mut made = Vec::with_capacity(TIMES);
    let mapped = timed(|| made.extend((0..TIMES).map_while(|_| map(LENGTH))));
    let unmapped = timed(|| made.iter().for_each(|at| unmap(*at, LENGTH)));
    (made.len() == TIMES).then_some((mapped, unmapped))
}

/// More than there are addresses; `None` where they are given all the same.
fn refusals() -> Option<Duration> {
    let mut refused = true;
    let took = timed(|| (0..TIMES).for_each(|_| refused &= map(1 << 50).is_none()));
    refused.then_some(took)
}

/// A mapping of two pages that grows to four, each time moved.
fn moves() -> Option<Duration> {
    let page = page_size();
    let mut made: Vec<*mut c_void> = (0..TIMES).map_while(|_| map(2 * page)).collect();
    if made.len() < TIMES {
        return None;
    }
    let took = timed(|| {
        for at in &mut made {
            // SAFETY: the mapping is ours and nothing refers into it.
            *at = unsafe { libc::mremap(*at, 2 * page, 4 * page, libc::MREMAP_MAYMOVE) };
        }
    });
    let moved = made.iter().all(|at| *at != libc::MAP_FAILED);
    made.into_iter().filter(|at| *at != libc::MAP_FAILED).for_each(|at| unmap(at, 4 * page));
    moved.then_some(took)
}

/// The call again and again on a page that has nothing behind it.
fn over_a_page(mut call: impl FnMut(*mut c_void, usize) -> i32) -> Option<Duration> {
    let page = page_size();
    let at = map(3 * page)?;
    let middle = at.map_addr(|address| address + page);
    let mut worked = true;
    let took = timed(|| (0..TIMES).for_each(|_| worked &= call(middle, page) == 0));
    unmap(at, 3 * page);
    worked.then_some(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_can_do_has_a_cost() {
        let line = measure();
        for name in ["small_fault", "copied_fault", "brk", "mmap", "munmap", "mremap", "madvise", "mprotect"]
        {
            let cost = line.get(&format!("{name}_ps"));
            assert!(cost.is_some_and(|picoseconds| picoseconds > 1000), "{name}: {line}");
        }
        assert!(line.get("clear_kib_ps").is_some() && line.get("copy_kib_ps").is_some(), "{line}");
    }
}
