//! `malloc_info`: the figures as XML of glibc's shape, for a stream of the caller's. A `heap` is a thread's,
//! its `sizes` are the blocks that lie free in its slabs. The last heap is the chunks', which all threads
//! share. What threads have at hand is in the last `rest`.
#![allow(unsafe_code)]

use crate::base::size_class::{self, CLASSES};
use crate::base::text::Text;
use crate::base::units::SizeClass;
use crate::front::stats::Stats;
use crate::heap::Heap;
use crate::medium::MediumClass;
use crate::process::ALLOCATOR;
use core::ffi::c_int;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}

const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// glibc's lists of small free blocks, which readers expect.
const NONE_FAST: &str = "<total type=\"fast\" count=\"0\" size=\"0\"/>\n";

/// A stream of libc's.
pub type Stream = libc::FILE;

/// # Safety
/// `stream` is an open stream of libc's.
pub unsafe fn malloc_info<F>(options: c_int, stream: *mut Stream) -> c_int {
    if options != 0 {
        return libc::EINVAL;
    }
    let mut state = 0;
    // The stream's own writes are points where the thread may be cancelled.
    // SAFETY: changes the calling thread alone.
    unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut state) };
    // No lock is held while the stream is written to: it may allocate.
    // SAFETY: as the caller vouches.
    write_all(&mut |text| _ = unsafe { libc::fwrite(text.as_ptr().cast(), 1, text.len(), stream) });
    // SAFETY: changes the calling thread alone.
    unsafe { pthread_setcancelstate(state, &mut state) };
    0
}

fn write_all(write: &mut impl FnMut(&[u8])) {
    let stats = Stats::read();
    write(b"<malloc version=\"1\">\n");
    let (mut count, mut number) = (0, 0);
    ALLOCATOR.registry.for_each(|heap| {
        count += write_heap(write, heap, number);
        number += 1;
    });
    if stats.chunk_bytes > 0 {
        count += write_chunks(write, stats.chunk_bytes, number);
    }
    let in_use = stats.allocated - stats.large_bytes;
    let mut end = Text::<1024>::new();
    end.push(NONE_FAST);
    total(&mut end, "rest", count, stats.arena_bytes.saturating_sub(in_use));
    total(&mut end, "mmap", stats.large_blocks, stats.large_bytes);
    extent(&mut end, stats.arena_bytes, stats.arena_peak_bytes.max(stats.arena_bytes));
    end.push("</malloc>\n");
    write(end.bytes());
}

/// A heap's element; how many blocks lie free in it.
fn write_heap(write: &mut impl FnMut(&[u8]), heap: &Heap, number: usize) -> usize {
    let (slab_bytes, _) = heap.slab_figures(&ALLOCATOR.arena);
    let free = heap.free_blocks(&ALLOCATOR.arena);
    let sizes = (1..CLASSES as u8).map(SizeClass).map(|class| {
        // Class 0 is of the same size as the first.
        let count = free[class.0 as usize] + if class.0 == 1 { free[0] } else { 0 };
        (size_class::bytes(class), count)
    });
    write_element(write, number, slab_bytes, 0, sizes)
}

/// The same for what all threads share.
fn write_chunks(write: &mut impl FnMut(&[u8]), chunk_bytes: usize, number: usize) -> usize {
    let classes = ALLOCATOR.medium.figures().classes;
    let sizes = MediumClass::all().map(|class| (class.bytes(), classes[class.number()].free(class) as usize));
    write_element(write, number, chunk_bytes, size_class::CLASS_MAX, sizes)
}

/// A heap's element, with sizes above `below`, and how many blocks of each are free.
fn write_element(
    write: &mut impl FnMut(&[u8]),
    number: usize,
    gained: usize,
    mut below: usize,
    sizes: impl Iterator<Item = (usize, usize)>,
) -> usize {
    let mut head = Text::<64>::new();
    number_in(&mut head, "<heap nr=\"", number);
    head.push("\">\n<sizes>\n");
    write(head.bytes());
    let (mut blocks, mut bytes) = (0, 0);
    for (size, count) in sizes {
        if count > 0 {
            let mut line = Text::<160>::new();
            number_in(&mut line, "  <size from=\"", below + 1);
            number_in(&mut line, "\" to=\"", size);
            number_in(&mut line, "\" total=\"", count * size);
            number_in(&mut line, "\" count=\"", count);
            line.push("\"/>\n");
            write(line.bytes());
        }
        (blocks, bytes, below) = (blocks + count, bytes + count * size, size);
    }
    let mut end = Text::<1024>::new();
    end.push("</sizes>\n");
    end.push(NONE_FAST);
    total(&mut end, "rest", blocks, bytes);
    extent(&mut end, gained, gained);
    end.push("</heap>\n");
    write(end.bytes());
    blocks
}

fn number_in<const N: usize>(out: &mut Text<N>, before: &str, number: usize) {
    out.push(before);
    out.number(number, 0);
}

/// What is free, or mapped.
fn total<const N: usize>(out: &mut Text<N>, kind: &str, count: usize, size: usize) {
    out.push("<total type=\"");
    out.push(kind);
    number_in(out, "\" count=\"", count);
    number_in(out, "\" size=\"", size);
    out.push("\"/>\n");
}

/// Bytes that were got from the system, and the most they were.
fn extent<const N: usize>(out: &mut Text<N>, current: usize, most: usize) {
    for (label, bytes) in [
        ("<system type=\"current\" size=\"", current),
        ("<system type=\"max\" size=\"", most),
        ("<aspace type=\"total\" size=\"", current),
        ("<aspace type=\"mprotect\" size=\"", current),
    ] {
        number_in(out, label, bytes);
        out.push("\"/>\n");
    }
}
