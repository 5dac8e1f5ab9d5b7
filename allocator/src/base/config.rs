//! Constants with their reasons. What can be set at run time has its default here, and its row in `keys`.
#![forbid(unsafe_code)]

use crate::base::size_class::{self, ByClass, CLASSES};
use crate::base::units::SizeClass;

/// C's functions are defined in the Rust program that the crate is linked into.
pub const OVERRIDE: bool = cfg!(feature = "override");

/// The heap profile is there. Without it nothing of it is compiled into a program.
pub const PROFILE: bool = cfg!(any(feature = "profile", test));

/// A granule: the unit of the arena and the length of a slab.
pub const GRANULE_SHIFT: u32 = 16;
pub const GRANULE: usize = 1 << GRANULE_SHIFT;

/// Granules of a block of the arena: 64 MiB of addresses, whose tables come and go together.
pub const BLOCK_GRANULES: u32 = 1 << 10;

/// Bytes of addresses that the first window shows, and that the longest one does. Their maps take 64 KiB and
/// 32 MiB.
pub const WINDOW_FIRST: usize = 1 << 30;
pub const WINDOW_MAX: usize = 512 << 30;

/// Bytes of addresses between the break and the first region, by the break's owner (`BreakOwner`): room for
/// those who move the break later. Another malloc gets most.
pub const ROOM_ABOVE: [usize; 3] = [1 << 30, 64 << 30, 0];

/// Thread heaps that can exist at once, parked ones included. Miri goes through all words of the tables of
/// heaps each time that somebody is given a reference to them.
pub const HEAP_LIMIT: u32 = if cfg!(miri) { 1 << 6 } else { 1 << 14 };

/// Parked heaps that keep their first pages, for the next threads: to give them back and to fault them in
/// again costs about as much as to start a thread. Of the others all goes back.
pub const WARM_HEAPS: usize = 8;
/// So many of those, the first ones, keep the slots of magazines that grew too, less than 100 KiB each:
/// threads that come and go one after another use them again.
pub const WIDE_HEAPS: usize = 4;

/// First and largest step of growth, and the least of an arena that gave back. Steps double with what was
/// gained (`arena/growth.rs`). The first is most of what a small program maps; the largest bounds what
/// `mlockall(MCL_FUTURE)` fills ahead of any request.
pub const GROW_FIRST: usize = 256 << 10;
pub const GROW_LEAST: usize = 1 << 20;
pub const GROW_MAX: usize = 64 << 20;

/// A request of this many bytes or more is a mapping of its own. glibc's M_MMAP_THRESHOLD has the same
/// default.
pub const MMAP_THRESHOLD: usize = 128 * 1024;
/// Bounds of what M_MMAP_THRESHOLD may be set to. Below the lower one the fast path serves without asking.
/// The upper one is glibc's (HEAP_MAX_SIZE / 2).
pub const MMAP_THRESHOLD_MIN: usize = size_class::STEP_MAX + 1;
pub const MMAP_THRESHOLD_MAX: usize = 32 << 20;

/// No process has as many bytes of addresses unless it asks for a high one: x86-64 has 2^47, aarch64 up to
/// 2^48. The arena and zones tell these apart, and stay among them; a large block may be anywhere.
pub const ADDRESSES: usize = 1 << 48;

/// The smallest page there is, in bytes.
pub const PAGE: usize = 4096;

/// No bound that anybody meets, in bytes.
pub const UNBOUNDED: usize = 1 << 46;

/// Dirty memory that may always stay. With what a thread has at hand, less than 1 MiB, a
/// process that freed all is within 8 MiB, and tables.
pub const DIRTY_FLOOR: usize = 7 << 20;
/// The share of live memory that may stay dirty where that is more, in 1024ths: an eighth.
pub const DIRTY_SHARE: usize = 128;

/// Dirty memory that may stay while a program takes it again and again. A swing of more is not followed.
pub const SWING: usize = 64 << 20;

/// Bytes that may be dirty in chunks which are kept though all of them is free.
pub const CHUNKS_KEPT: usize = 2 << 20;

/// Bytes of medium blocks that a thread may have at hand: its part of half of the dirty memory that may
/// always stay, within two bounds.
pub const MEDIUM_AT_HAND_MOST: usize = 2 << 20;
pub const MEDIUM_AT_HAND_LEAST: usize = 64 << 10;

/// What a heap of one's own may always keep dirty; the share of live memory is the same.
pub const ZONE_DIRTY_FLOOR: usize = 1 << 20;

pub const HUGE_PAGE: usize = 2 << 20;

/// The break is lowered when this many bytes at its end are free and clean.
pub const TRIM_MIN: usize = 1 << 20;

/// The most bytes that a magazine holds, and its bounds in blocks. A full magazine sends its older half home,
/// and an empty one is filled by half.
pub const MAGAZINE_BYTES: usize = 32 * 1024;
pub const MAGAZINE_MAX: u32 = 2048;
pub const MAGAZINE_MIN: u32 = 4;
/// Blocks that a magazine holds at first. It doubles each time that it is empty or full.
pub const MAGAZINE_FIRST: u32 = 15;
/// The most blocks that a magazine grows to by frees alone. The blocks of a thread that only frees pin other
/// threads' slabs when it falls asleep.
pub const MAGAZINE_FREED: u32 = 128;

/// The first *homing* class: when another heap's thread frees such a block, it goes home at once instead of
/// into that thread's magazine. Its cache lines are with the thread that filled it.
pub const HOMING: SizeClass = size_class::of(4096);

/// With more bytes than this in an inbox the sender takes the lock and drains it for an owner that sleeps.
pub const INBOX_STEAL: usize = 256 * 1024;

/// Bytes of parcels that a heap keeps as they came. What comes beyond goes back to the slabs.
pub const DEPOT_BYTES: usize = 256 * 1024;

/// A heap is *sparse* when it has more bytes of slabs than this, and under a quarter of them are in use. It
/// caches no frees then, because one cached block pins a slab, and the free pages inside its slabs go back.
pub const SPARSE_BYTES: usize = 2 << 20;

/// Bytes of slabs that a heap may have that is mostly in its thread's own magazines: at first, and after so
/// many regretted sweeps.
pub const HOARD: [usize; 5] = [512 << 10, 512 << 10, 2 << 20, 2 << 20, 4 << 20];
/// Twice what the program held at once counts up to here.
pub const HELD_MOST: usize = 2 << 20;
/// From here on a heap cannot be mostly in magazines: of the classes together they hold no more than a third.
pub const HOARD_MOST: usize = 5 << 20;

/// Blocks that a sparse heap may have in magazines all the same, each of which may keep a page: while the
/// program swings, and while it does not.
pub const REOPENED_MOST: u32 = 128;
pub const FEW_IN_ALL: u32 = 64;
/// While it does not, each of the magazines holds so many blocks, of so many bytes together, at most: they go
/// home at once, and larger blocks one by one.
pub const FEW_REOPENED: u32 = 7;
pub const FEW_BYTES: usize = 2048;

/// A heap with fewer bytes of slabs has none that counts.
pub const SLACK_FROM: usize = 256 * 1024;
/// Each time that so many more have come back to a heap, it says so.
pub const SLACK_STEP: usize = 128 * 1024;
/// The same of a heap that was purged and is sparse since, beside a quarter of what it uses: so that what it
/// has in the end is near to what it must have.
pub const SLACK_LEAST: usize = 256 * 1024;

/// Slabs whose pages are purged at once with their heap's lock open, and those that are looked at under it.
pub const PURGE_BATCH: usize = 32;
pub const PURGE_LOOKS: usize = 64;

/// The most blocks a magazine of each class holds.
pub const MAGAZINE_CAP: ByClass<u16> = {
    let mut caps = [0u16; 256];
    let mut c = 0;
    while c < CLASSES {
        let mut cap = (MAGAZINE_BYTES / size_class::bytes(SizeClass(c as u8))) as u32;
        if cap > MAGAZINE_MAX {
            cap = MAGAZINE_MAX;
        }
        if cap < MAGAZINE_MIN {
            cap = MAGAZINE_MIN;
        }
        caps[c] = cap as u16;
        c += 1;
    }
    caps
};

/// Bytes between two samples in the mean, where nobody says otherwise.
pub const SAMPLE_RATE: usize = 512 * 1024;
/// While a profile is taken: the blocks of a magazine that can be popped before the slow path looks again.
/// More would be fewer slow paths, and blocks that have left the cache when they are used again.
pub const fn shown(class: SizeClass) -> u32 {
    if size_class::bytes(class) <= 64 { 128 } else { 64 }
}
/// And how many a magazine holds at least if its class may.
pub const MAGAZINE_PROFILED: u32 = 384;
/// With no more blocks than this at hand, or a quarter of its most, a magazine is filled up meanwhile: a slow
/// path serves so many pops at least.
pub const FEW_SHOWN: u32 = 32;
/// Return addresses that a sample keeps at most.
pub const STACK_DEPTH: usize = 64;

const _: () = assert!(GROW_FIRST % GRANULE == 0 && GROW_MAX % GRANULE == 0);
const _: () = assert!(GROW_MAX <= (BLOCK_GRANULES as usize) << GRANULE_SHIFT);
const _: () = assert!(size_class::CLASS_MAX <= GRANULE);
