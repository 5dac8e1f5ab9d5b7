//! The heap of a wide address range, beside a narrow one.

use brkmap_base::bar::bar;

use super::cli::Options;
use super::contender::{Measured, Subject};
use super::process::Result;
use super::single::field;
use super::{machine, rest};
use crate::load::wide::SPARSE;
use crate::results::wide::{Visit, Wide, skipped_name};

/// The narrow one: 96 MiB.
const NARROW: u64 = 1024;
const VISITS: u64 = 1_000_000;
/// As wide as memory lets it be, and no narrower than the last.
const WIDE_GIB: [u64; 3] = [64, 32, 16];
/// What a sparse block may have resident: its page, one for the allocator's own, one for luck.
const RESIDENT_KIB: u64 = 12;
const TRACED: u64 = 2000;

pub fn measure(sets: &mut [Measured], options: &Options, remarks: &mut Vec<String>) {
    let available = machine::available_mib();
    let Some(blocks) = WIDE_GIB.into_iter().map(blocks).find(|&blocks| fits(blocks, available)) else {
        let reason = format!(
            "it takes {} MiB and leaves as much alone, and {available} MiB are available",
            limit_mib(blocks(WIDE_GIB[2]))
        );
        eprintln!("matrix: wide is skipped: {reason}");
        return remarks.push(format!("The wide heap was skipped: {reason}."));
    };
    if options.scale() != 100 {
        remarks.push("The wide heap is not scaled: it is that of a full run.".into());
    }
    let subjects: usize = sets.iter().map(|set| set.subjects.len()).sum();
    let progress = bar(subjects as u64, "wide heap");
    for set in sets {
        let mut skipped = Vec::new();
        for subject in &mut set.subjects {
            match of(subject, blocks) {
                Ok(both) => subject.allocator.wide = both,
                Err(reason) => skipped.push((skipped_name(subject.name()), reason)),
            }
            progress.inc(1);
        }
        skipped.into_iter().for_each(|(name, reason)| set.skip(&name, reason));
    }
    progress.finish_and_clear();
}

fn of(subject: &Subject, blocks: u64) -> Result<Vec<Wide>> {
    if let Some(calls) = mappings(subject) {
        maps_none(calls)?;
    }
    let available = machine::available_mib();
    if !fits(blocks, available) {
        return Err(format!("it may take {} MiB, and {available} MiB are available", limit_mib(blocks)));
    }
    Ok(vec![heap(subject, NARROW)?, heap(subject, blocks)?])
}

fn blocks(gib: u64) -> u64 {
    (gib << 30) / SPARSE as u64
}

fn limit_mib(blocks: u64) -> u64 {
    64 + blocks * RESIDENT_KIB / 1024
}

/// Half of what is available is for others: who asks for all of it may be killed.
fn fits(blocks: u64, available_mib: u64) -> bool {
    limit_mib(blocks) <= available_mib / 2
}

/// How often the allocator maps to have the traced number of sparse blocks; `None` where nothing may be traced.
fn mappings(subject: &Subject) -> Option<u64> {
    let traced = load(subject, TRACED, 0);
    let calls = rest::memory_calls(&traced).ok()?;
    Some(calls.get("mmap").copied().unwrap_or(0))
}

/// With a mapping a block there is no heap to be wide, and the kernel lets a process have 65 530 of them.
fn maps_none(calls: u64) -> Result<()> {
    if calls >= TRACED / 2 {
        return Err(format!("it maps such blocks one by one: {calls} times mmap for {TRACED} of them"));
    }
    Ok(())
}

fn load(subject: &Subject, blocks: u64, visits: u64) -> super::process::Invocation {
    let numbers = [blocks, visits, limit_mib(blocks)].map(|number| number.to_string());
    subject.load(&["wide", &numbers[0], &numbers[1], &numbers[2]])
}

fn heap(subject: &Subject, blocks: u64) -> Result<Wide> {
    let output = load(subject, blocks, VISITS).run()?.success()?;
    let nanoseconds = |name: &str| field(&output, name).map(|picoseconds| picoseconds as f64 / 1e3);
    let visit = |kind: &str| {
        Ok::<_, String>(Visit {
            touch: nanoseconds(&format!("{kind}_touch_ps"))?,
            replace: nanoseconds(&format!("{kind}_replace_ps"))?,
        })
    };
    Ok(Wide {
        sparse_blocks: blocks,
        range_kib: field(&output, "range_kib")?,
        small: visit("small")?,
        sparse: visit("sparse")?,
        sparse_faults: field(&output, "sparse_faults")? as f64 / (VISITS / 10) as f64,
        peak_kib: field(&output, "peak_kib")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_is_as_wide_as_half_of_the_memory_allows() {
        let widest = |available| WIDE_GIB.into_iter().find(|&gib| fits(blocks(gib), available));
        assert_eq!(blocks(64), 699_050);
        assert_eq!(widest(24_000), Some(64));
        assert_eq!(widest(9_000), Some(32));
        assert_eq!(widest(4_300), Some(16));
        assert_eq!(widest(4_000), None);
    }

    #[test]
    fn a_mapping_a_block_is_no_heap() {
        assert!(maps_none(30).is_ok());
        assert!(maps_none(2_013).unwrap_err().contains("2013 times"));
    }
}
