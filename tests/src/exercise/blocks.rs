//! Many blocks of one kind, which the allocator under test knows and nobody else.

use std::alloc::GlobalAlloc;

use super::{KIB, MIB, get, put, touch};
use crate::random::Random;
use crate::table::Table;

pub struct Blocks {
    blocks: Table<*mut u8>,
    sizes: Table<usize>,
    count: usize,
}

impl Blocks {
    /// Blocks of `total` bytes, each page of them written to.
    pub fn take<A: GlobalAlloc>(alloc: &A, kind: &str, random: &mut Random, total: usize) -> Blocks {
        let size_of: fn(&mut Random) -> usize = match kind {
            "small" => |random| random.between(16, KIB),
            "medium" => |random| random.between(KIB, 128 * KIB - 1),
            "spans" => |random| random.between(33 * KIB, 128 * KIB - 1),
            "large" => |random| random.between(128 * KIB, 4 * MIB),
            "mixed" => |random| random.size(MIB),
            _ => panic!("no kind {kind}"),
        };
        // Enough even if every block were of 256 bytes.
        let most = total / 256;
        let mut taken = Blocks { blocks: Table::new(most), sizes: Table::new(most), count: 0 };
        let mut live = 0;
        while live < total {
            let size = size_of(random);
            let block = get(alloc, size);
            assert!(!block.is_null(), "no memory for this test at {live} live bytes");
            // SAFETY: live and of this size.
            unsafe { touch(block, size) };
            (taken.blocks[taken.count], taken.sizes[taken.count]) = (block, size);
            taken.count += 1;
            live += size;
        }
        taken
    }

    /// Frees them in random order.
    pub fn free<A: GlobalAlloc>(mut self, alloc: &A, random: &mut Random) {
        // The same order for both tables.
        for last in (1..self.count).rev() {
            let other = random.below(last + 1);
            self.blocks.swap(last, other);
            self.sizes.swap(last, other);
        }
        for (block, size) in self.blocks.iter().zip(self.sizes.iter()).take(self.count) {
            // SAFETY: got by `take`, each once, given up here.
            unsafe { put(alloc, *block, *size) };
        }
    }
}
