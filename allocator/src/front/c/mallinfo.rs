//! mallinfo(3)'s structs.

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
