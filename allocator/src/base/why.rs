//! Why a memory call is made, and for whom: two words that go with it down to the kernel, where they are
//! counted and written to the log.
#![forbid(unsafe_code)]

use super::config::GRANULE_SHIFT;
use super::size_class;
use super::text::text_of;
use super::units::{Bytes, Granules, SizeClass};
use core::ffi::CStr;

/// What a call of the kernel's is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Reason {
    /// The arena grows, for a slab.
    Grow,
    /// The arena grows, for a span: a block below the mmap threshold that no chunk serves.
    Span,
    /// The arena grows, for a chunk of medium blocks.
    Chunk,
    /// A large block begins or ends.
    Large,
    /// A block is resized where it is, or by moving its pages.
    Realloc,
    /// A freed large block goes into the cache of mappings, or leaves it.
    Cache,
    /// A large block is put on huge pages.
    Huge,
    /// Free addresses go back: the end of the break, or of a region.
    Trim,
    /// Pages of free memory go back, and its addresses stay.
    Purge,
    /// The ends of a mapping that was made longer so that a part of it is aligned.
    Align,
    /// The allocator's own tables.
    Tables,
    /// What threads have: their heaps.
    Heaps,
    /// A heap of one's own has or gives up segments, mappings, pages.
    Zone,
    /// The program moves the break, by `brk` or `sbrk`.
    Program,
    /// Where the break is.
    Look,
    /// What a fork's child needs.
    Fork,
    /// The library is unloaded.
    Unload,
}

impl Reason {
    /// All of them, in order.
    pub const ALL: [Reason; 17] = [
        Reason::Grow,
        Reason::Span,
        Reason::Chunk,
        Reason::Large,
        Reason::Realloc,
        Reason::Cache,
        Reason::Huge,
        Reason::Trim,
        Reason::Purge,
        Reason::Align,
        Reason::Tables,
        Reason::Heaps,
        Reason::Zone,
        Reason::Program,
        Reason::Look,
        Reason::Fork,
        Reason::Unload,
    ];

    /// The reason in a word.
    pub const fn name(self) -> &'static str {
        text_of(self.c_name())
    }

    /// The reason in a word, as a C string.
    pub const fn c_name(self) -> &'static CStr {
        match self {
            Reason::Grow => c"grow",
            Reason::Span => c"span",
            Reason::Chunk => c"chunk",
            Reason::Large => c"large",
            Reason::Realloc => c"realloc",
            Reason::Cache => c"cache",
            Reason::Huge => c"huge",
            Reason::Trim => c"trim",
            Reason::Purge => c"purge",
            Reason::Align => c"align",
            Reason::Tables => c"tables",
            Reason::Heaps => c"heaps",
            Reason::Zone => c"zone",
            Reason::Program => c"program",
            Reason::Look => c"look",
            Reason::Fork => c"fork",
            Reason::Unload => c"unload",
        }
    }

    /// With whom it is for.
    pub const fn by(self, cause: Cause) -> Why {
        Why { reason: self, cause }
    }
}

/// How many reasons there are.
pub const REASONS: usize = Reason::ALL.len();

/// Whose request or free a call is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// One of a size class.
    Class(SizeClass),
    /// One of a medium block's class, of so many bytes.
    Medium(Bytes),
    /// One of a span of so many granules.
    Span(Granules),
    /// One of a large block.
    Large,
    /// A heap of one's own.
    Zone,
    /// A thread begins or ends.
    Thread,
    /// The program, by a call that names no block: `malloc_trim`, `sbrk`.
    Program,
    /// Nobody's: the background thread gives back what lies unused.
    Idle,
    /// Nobody's: the process begins, forks, or unloads the library.
    Process,
}

impl Cause {
    /// What it is, in a word, and the bytes of a block of it where those are known.
    pub const fn parts(self) -> (&'static str, Option<Bytes>) {
        match self {
            Cause::Class(class) => ("class", Some(Bytes(size_class::bytes(class)))),
            Cause::Medium(bytes) => ("medium", Some(bytes)),
            Cause::Span(len) => ("span", Some(Bytes((len.0 as usize) << GRANULE_SHIFT))),
            Cause::Large => ("large", None),
            Cause::Zone => ("zone", None),
            Cause::Thread => ("thread", None),
            Cause::Program => ("program", None),
            Cause::Idle => ("idle", None),
            Cause::Process => ("process", None),
        }
    }
}

/// Why a call is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Why {
    pub reason: Reason,
    pub cause: Cause,
}

/// What a heap profile is kept in.
pub const OF_PROFILE: Why = Reason::Tables.by(Cause::Process);
/// Whatever a heap of one's own asks for.
pub const OF_ZONE: Why = Reason::Zone.by(Cause::Zone);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_place_and_word() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
            assert!(Reason::ALL.iter().all(|other| *other == reason || other.name() != reason.name()));
        }
    }
}
