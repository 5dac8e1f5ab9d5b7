//! Where a process's memory came from, replayed from its memory calls.

use std::collections::BTreeMap;

use brkmap_tracer::{Call, Outcome, Syscall};

/// What a pointer points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Below the break and not in a mapping.
    Break,
    /// A mapping of `length` bytes; `call` counts the memory calls up to the one that made it.
    Mapping { length: u64, call: u64 },
    /// Neither: the program's own image, or memory older than the trace.
    Elsewhere,
}

/// The mappings of one process and the extent of its break.
#[derive(Default)]
pub struct Regions {
    calls: u64,
    bottom: Option<u64>,
    top: u64,
    /// By first address: the address after the last, and the call that made it.
    mappings: BTreeMap<u64, (u64, u64)>,
}

impl Regions {
    /// How many calls were replayed: what `Origin::Mapping::call` is compared with.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    pub fn replay(&mut self, call: &Call) {
        self.calls += 1;
        let Outcome::Returned(result) = call.outcome else { return };
        let [address, length, new_length, ..] = call.args.map(|value| value);
        match call.syscall {
            Syscall::Brk => {
                // The loader asks before anything has moved it, so the first answer is the bottom.
                self.bottom.get_or_insert(result);
                self.top = result;
            }
            Syscall::Mmap => self.map(result, length, self.calls),
            Syscall::Munmap => self.unmap(address, length),
            Syscall::Mremap => {
                if call.args[3] & 4 == 0 {
                    self.unmap(address, length);
                }
                self.map(result, new_length, self.calls);
            }
            _ => {}
        }
    }

    pub fn origin(&self, pointer: u64) -> Origin {
        if let Some((start, (end, call))) = self.mappings.range(..=pointer).next_back()
            && pointer < *end
        {
            return Origin::Mapping { length: end - start, call: *call };
        }
        match self.bottom {
            Some(bottom) if (bottom..self.top).contains(&pointer) => Origin::Break,
            _ => Origin::Elsewhere,
        }
    }

    fn map(&mut self, start: u64, length: u64, call: u64) {
        self.unmap(start, length);
        self.mappings.insert(start, (pages_end(start, length), call));
    }

    fn unmap(&mut self, start: u64, length: u64) {
        let end = pages_end(start, length);
        let hit: Vec<_> = self.mappings.range(..end).filter(|(_, (last, _))| *last > start).collect();
        let hit: Vec<_> = hit.into_iter().map(|(first, rest)| (*first, *rest)).collect();
        for (first, (last, call)) in hit {
            self.mappings.remove(&first);
            if first < start {
                self.mappings.insert(first, (start, call));
            }
            if last > end {
                self.mappings.insert(end, (last, call));
            }
        }
    }
}

/// Lengths are rounded up to pages; a page of 4 KiB is the smallest there is, and enough here,
/// where pointers are looked up and mappings are whole pages of whatever size anyway.
fn pages_end(start: u64, length: u64) -> u64 {
    start.saturating_add(length.checked_next_multiple_of(4096).unwrap_or(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(syscall: Syscall, args: [u64; 4], result: u64) -> Call {
        let args = [args[0], args[1], args[2], args[3], 0, 0];
        Call { tid: 1, syscall, args, outcome: Outcome::Returned(result), break_before: None }
    }

    fn replayed(calls: &[Call]) -> Regions {
        let mut regions = Regions::default();
        for call in calls {
            regions.replay(call);
        }
        regions
    }

    #[test]
    fn the_break_reaches_from_its_first_answer_to_its_last() {
        let regions = replayed(&[
            call(Syscall::Brk, [0; 4], 0x10000),
            call(Syscall::Brk, [0x30000, 0, 0, 0], 0x30000),
            call(Syscall::Brk, [0x20000, 0, 0, 0], 0x20000),
        ]);
        assert_eq!(regions.origin(0xffff), Origin::Elsewhere);
        assert_eq!(regions.origin(0x10000), Origin::Break);
        assert_eq!(regions.origin(0x1ffff), Origin::Break);
        assert_eq!(regions.origin(0x20000), Origin::Elsewhere);
    }

    #[test]
    fn a_mapping_with_a_hole_is_two() {
        let regions = replayed(&[
            call(Syscall::Mmap, [0, 0x5000, 3, 0x22], 0x70000),
            call(Syscall::Munmap, [0x71000, 0x1000, 0, 0], 0),
        ]);
        assert_eq!(regions.origin(0x70fff), Origin::Mapping { length: 0x1000, call: 1 });
        assert_eq!(regions.origin(0x71000), Origin::Elsewhere);
        assert_eq!(regions.origin(0x72000), Origin::Mapping { length: 0x3000, call: 1 });
    }

    #[test]
    fn a_mapping_over_another_takes_its_place() {
        let regions = replayed(&[
            call(Syscall::Mmap, [0, 0x4000, 0, 0x22], 0x70000),
            call(Syscall::Mmap, [0x71000, 0x1000, 3, 0x32], 0x71000),
        ]);
        assert_eq!(regions.origin(0x71800), Origin::Mapping { length: 0x1000, call: 2 });
        assert_eq!(regions.origin(0x72000), Origin::Mapping { length: 0x2000, call: 1 });
    }

    #[test]
    fn a_moved_mapping_is_where_it_moved_to() {
        let regions = replayed(&[
            call(Syscall::Mmap, [0, 0x2000, 3, 0x22], 0x70000),
            call(Syscall::Mremap, [0x70000, 0x2000, 0x4000, 1], 0x90000),
        ]);
        assert_eq!(regions.origin(0x70000), Origin::Elsewhere);
        assert_eq!(regions.origin(0x93fff), Origin::Mapping { length: 0x4000, call: 2 });
    }
}
