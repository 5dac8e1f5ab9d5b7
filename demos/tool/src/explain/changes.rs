//! One allocator's later requests, against its first.

use brkmap_base::Bytes;
use brkmap_probe::marker::Phase;
use brkmap_tracer::Syscall;

use super::{alike, first, grouped, is_own, kind, kinds, list, used};
use crate::comparison::{Observed, Row};
use crate::contender::Kind;

/// Whether later requests are served as the first one was.
pub fn changes(row: &Row, sizes: &[Bytes]) -> Vec<String> {
    let mut words = Vec::new();
    for (change, members) in grouped(row, sizes, |size, observed| change(row.kind, size, observed)) {
        let (name, sizes) = (&row.name, list(&members, sizes));
        words.push(match change {
            Change::Steady => continue,
            Change::SetUp => format!(
                "{name} raises the break even for {sizes}, which it maps: the first request of a process sets \
                 up its heap, whatever its size."
            ),
            Change::RoomForOne(start) => format!(
                "{name} serves the first request from the break at {sizes} and maps the second: its heap begins \
                 with {start} of break, and only what does not fit there is compared with its mmap threshold."
            ),
            Change::Raised => format!(
                "{name} serves the request after the free from the break at {sizes}, where it mapped those \
                 before: freeing a mapped block raised its dynamic mmap threshold (mallopt(3), M_MMAP_THRESHOLD)."
            ),
            Change::Cached => format!(
                "{name} kept a freed mapping at {sizes} and served the request after the free from it, without a \
                 system call."
            ),
            Change::Other([first, second, again]) => format!(
                "{name} changes its choice at {sizes}: {first} for the first request, {second} for the second, \
                 {again} after the free."
            ),
        });
    }
    words.extend(reservation(row));
    let steady = row.observed.iter().all(|observed| kinds(observed).is_some_and(|kinds| alike(&kinds)));
    if steady {
        let reason = if row.kind == Kind::Brkmap { ": its threshold is static" } else { "" };
        words.push(format!("{} makes the same choice for a size every time{reason}.", row.name));
    }
    words
}

/// Address space is taken in terabytes and costs nothing until it is opened: not to be read as memory.
fn reservation(row: &Row) -> Option<String> {
    let of_one = |observed: &Observed| {
        let calls = first(observed).into_iter().flat_map(|cell| &cell.calls);
        calls.filter(|call| call.reserves()).map(|call| call.bytes()).sum::<u64>()
    };
    let most = row.observed.iter().map(of_one).max().filter(|most| *most > 0)?;
    let opened =
        row.observed.iter().any(|observed| first(observed).is_some_and(|cell| used(cell, Syscall::Mprotect)));
    let how = if opened { "; mprotect opens what is used" } else { "" };
    Some(format!(
        "{} reserves up to {} of address space in its first request, which takes no memory (mmap PROT_NONE){how}.",
        row.name,
        Bytes(most).rounded()
    ))
}

/// What became of the choice between the first request and the one after the free.
#[derive(PartialEq)]
enum Change {
    Steady,
    SetUp,
    RoomForOne(Bytes),
    Raised,
    Cached,
    Other([&'static str; 3]),
}

fn change(kind: Kind, size: Bytes, observed: &Observed) -> Option<Change> {
    let kinds = kinds(observed)?;
    let (first, again) = (first(observed)?, observed.cell(Phase::Again)?);
    let raised: i64 = first.calls.iter().map(|call| call.moved().max(0)).sum();
    let unmaps = used(observed.cell(Phase::FreeBoth)?, Syscall::Munmap);
    let libc = kind == Kind::Libc;
    Some(match kinds {
        ["brk", "mmap", _] if libc && raised as u64 >= size.0 => Change::RoomForOne(Bytes(raised as u64)),
        ["mmap", "mmap", "brk"] if libc && unmaps => Change::Raised,
        kinds if !alike(&kinds) => Change::Other(kinds),
        ["mmap", ..] if libc && raised > 0 => Change::SetUp,
        ["mmap", ..] if again.calls.is_empty() && is_own(first, size) => Change::Cached,
        _ => Change::Steady,
    })
}

/// glibc compares the size of the *chunk* with its threshold: request and 8 bytes of header, rounded
/// up to 16. Just below 128 KiB that alone makes the difference.
pub fn header(row: &Row, sizes: &[Bytes]) -> Option<String> {
    let threshold = Bytes(128 * Bytes::KIB);
    let chunk = |size: Bytes| Bytes((size.0 + 8).next_multiple_of(16));
    let glibc = cfg!(target_env = "gnu") && row.kind == Kind::Libc;
    let (size, _) = sizes.iter().zip(&row.observed).find(|(size, observed)| {
        let mapped = observed.cell(Phase::Second).is_some_and(|cell| kind(cell) == "mmap");
        glibc && mapped && **size < threshold && chunk(**size) >= threshold
    })?;
    Some(format!(
        "{} maps {size}, which is less than its threshold of {threshold}: it compares the chunk, request and \
         header, and that is {}.",
        row.name,
        chunk(*size)
    ))
}
