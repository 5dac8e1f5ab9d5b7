//! The figures in the ways of malloc's family: `mallinfo` and `mallinfo2` as structs, `malloc_stats` as text
//! on standard error.

use super::hand_on;
use super::names::Front;
use super::text::Text;
use crate::front::stats::Stats;
use core::ffi::c_int;

/// Defines mallinfo(3)'s struct with fields of a type.
macro_rules! mall_info {
    ($(#[$doc:meta])* $name:ident of $field:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        #[repr(C)]
        pub struct $name {
            /// Bytes of the arena.
            pub arena: $field,
            /// Free chunks: always 0.
            pub ordblks: $field,
            /// Fast chunks: always 0.
            pub smblks: $field,
            /// Large blocks.
            pub hblks: $field,
            /// Their bytes.
            pub hblkhd: $field,
            /// The most bytes of the arena that were used.
            pub usmblks: $field,
            /// Bytes of fast chunks: always 0.
            pub fsmblks: $field,
            /// Bytes of the arena that are with the program.
            pub uordblks: $field,
            /// Bytes of the arena that are free.
            pub fordblks: $field,
            /// Bytes that `malloc_trim` could give back at the break's end.
            pub keepcost: $field,
        }
    };
}

mall_info! {
    /// mallinfo2's figures.
    MallInfo2 of usize
}
mall_info! {
    /// The old one: figures modulo 2^32.
    MallInfo of c_int
}

/// Defines how one struct becomes the other, field by field.
macro_rules! convert {
    ($from:ident to $to:ident $($cast:tt)*) => {
        impl From<$from> for $to {
            fn from(from: $from) -> $to {
                $to {
                    arena: from.arena $($cast)*,
                    ordblks: from.ordblks $($cast)*,
                    smblks: from.smblks $($cast)*,
                    hblks: from.hblks $($cast)*,
                    hblkhd: from.hblkhd $($cast)*,
                    usmblks: from.usmblks $($cast)*,
                    fsmblks: from.fsmblks $($cast)*,
                    uordblks: from.uordblks $($cast)*,
                    fordblks: from.fordblks $($cast)*,
                    keepcost: from.keepcost $($cast)*,
                }
            }
        }
    };
}

convert!(MallInfo2 to MallInfo as c_int);
convert!(MallInfo to MallInfo2 as u32 as usize);

/// `mallinfo`.
pub fn mallinfo<F: Front>() -> MallInfo {
    hand_on::mallinfo::<F>().unwrap_or_else(figures).into()
}

/// `mallinfo2`.
pub fn mallinfo2<F: Front>() -> MallInfo2 {
    hand_on::mallinfo2::<F>().unwrap_or_else(figures)
}

/// This allocator's figures, whatever the process's malloc is.
pub fn figures() -> MallInfo2 {
    let stats = Stats::read();
    let in_arena = stats.live_bytes() - stats.large_bytes;
    MallInfo2 {
        arena: stats.arena_bytes,
        hblks: stats.large_blocks,
        hblkhd: stats.large_bytes,
        usmblks: stats.arena_peak_bytes,
        uordblks: in_arena,
        fordblks: stats.arena_bytes.saturating_sub(in_arena),
        keepcost: stats.top_bytes,
        ..MallInfo2::default()
    }
}

/// `malloc_stats`: a few lines on standard error.
pub fn malloc_stats<F>() {
    let stats = Stats::read();
    let mut out = Text::<1024>::new();
    out.push("brkmap: break            ");
    out.push(stats.break_mode.map_or("not started", |mode| mode.name()));
    for (label, figure) in [
        ("\nbrkmap: arena bytes      ", stats.arena_bytes),
        ("  in use ", stats.arena_used_bytes),
        ("  peak ", stats.arena_peak_bytes),
        ("\nbrkmap: slab bytes       ", stats.slab_bytes),
        ("  in use ", stats.small_bytes),
        ("\nbrkmap: mappings         ", stats.large_blocks),
        ("  bytes  ", stats.large_bytes),
        ("\nbrkmap: cached mappings  ", stats.cached_blocks),
        ("  bytes  ", stats.cached_bytes),
        ("\nbrkmap: dirty bytes      ", stats.dirty_bytes),
        ("  heaps  ", stats.heaps as usize),
    ] {
        out.push(label);
        out.number(figure, 12);
    }
    out.push("\n");
    out.to_stderr();
}
