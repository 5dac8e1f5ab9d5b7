//! What a replacement costs in a heap of a wide address range and little memory.
//!
//! ```text
//!   ┌ sparse, 96 KiB or so ─────────┐ small ┌ sparse ─────
//!   │ one page touched │ none       │ ▪▪▪▪▪ │ one page …
//! ```
//!
//! Small blocks are spread among sparse ones. As in the growth, each kind is visited at random twice: once only
//! touched, once replaced.

use brkmap_witness::{Faults, memory};

use super::kib;
use super::line::Line;
use super::visits::{Block, Turn, block, each, replace, small_size, touch};

/// Of all sizes that a sparse block has, the mean.
pub const SPARSE: usize = 96 << 10;
const SMALL_BLOCKS: usize = 100_000;

/// `visits` of small blocks, and a tenth as many of sparse ones; fails when more than `limit_mib` are resident.
pub fn measure(sparse_blocks: usize, visits: usize, limit_mib: u64) -> Result<Line, String> {
    let mut dice = fastrand::Rng::with_seed(sparse_blocks as u64);
    let mut sparse: Vec<Block> = Vec::with_capacity(sparse_blocks);
    let mut small: Vec<Block> = Vec::with_capacity(SMALL_BLOCKS);
    for at in 0..sparse_blocks {
        sparse.push(block(sparse_size(&mut dice)));
        let due = (at + 1) * SMALL_BLOCKS / sparse_blocks;
        small.extend((small.len()..due).map(|_| block(small_size(&mut dice))));
        let resident = if at % 4096 == 0 { kib(memory::peak()) >> 10 } else { 0 };
        if resident > limit_mib {
            return Err(format!(
                "{resident} MiB are resident after {at} of {sparse_blocks} blocks, and {limit_mib} MiB are the limit"
            ));
        }
    }
    let first = sparse.iter().map(|block| block.as_ptr().addr()).min().unwrap_or(0);
    let last = sparse.iter().map(|block| block.as_ptr().addr() + block.capacity()).max().unwrap_or(0);

    let sparse_visits = visits / 10;
    let (small_touched, _) = touch(&mut small, visits, Turn::Early, small_size, &mut dice);
    let small_replaced = replace(&mut small, visits, small_size, &mut dice);
    // Where a sparse block is put depends on those freed before, so each replacement waits for its cold page alone.
    // Touches that overlap would look several times cheaper.
    let (sparse_touched, _) = touch(&mut sparse, sparse_visits, Turn::After, sparse_size, &mut dice);
    let before = Faults::now();
    let sparse_replaced = replace(&mut sparse, sparse_visits, sparse_size, &mut dice);
    let faults = (Faults::now() - before).minor;

    let sum = small.iter().chain(&sparse).fold(0, |sum, block| sum + block.capacity() as u64);
    Ok(Line::default()
        .with("checksum", sum)
        .with("range_kib", (last - first) as u64 >> 10)
        .with("small_touch_ps", each(small_touched, visits))
        .with("small_replace_ps", each(small_replaced, visits))
        .with("sparse_touch_ps", each(sparse_touched, sparse_visits))
        .with("sparse_replace_ps", each(sparse_replaced, sparse_visits))
        .with("sparse_faults", faults)
        .with("peak_kib", kib(memory::peak())))
}

/// Below every allocator's own threshold for mappings, as far as that is known.
fn sparse_size(dice: &mut fastrand::Rng) -> usize {
    SPARSE - (16 << 10) + dice.usize(..32 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_holds_all_sparse_blocks() {
        let line = measure(64, 100, u64::MAX).unwrap();
        assert!(line.get("range_kib").unwrap() >= 64 * (80 << 10 >> 10), "{line}");
        assert!(line.get("sparse_replace_ps").unwrap() > 0);
    }

    #[test]
    fn too_much_resident_memory_ends_it() {
        let complaint = measure(8, 10, 0).unwrap_err();
        assert!(
            complaint.contains("0 of 8 blocks") && complaint.contains("0 MiB are the limit"),
            "{complaint}"
        );
    }
}
