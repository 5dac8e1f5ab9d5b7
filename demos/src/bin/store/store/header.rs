//! The first page: what this file is, and two slots that say how much of the log counts.

use super::FIRST_LENGTH;
use brkmap_demos::mapping::{Mapping, Writable};

/// "brkstor1"; one aligned word, so it is there or it is not.
const MAGIC: u64 = u64::from_le_bytes(*b"brkstor1");
/// In sectors of their own: a disk that tears a sector tears one slot.
const SLOTS: [usize; 2] = [512, 1024];
const SLOT_LEN: usize = 24;
pub const LOG_START: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    pub sequence: u64,
    /// The log counts up to here.
    pub end: usize,
}

pub const NOTHING: Commit = Commit { sequence: 0, end: LOG_START };

/// The newest commit. None is a file as `create` leaves it when killed: all zeros, to become an empty store. `Err`
/// completes a sentence that begins with the file's name.
pub fn read<M: Mapping>(mapping: &M) -> Result<Option<Commit>, String> {
    let mut magic = [0; 8];
    mapping.copy_out(0, &mut magic);
    match u64::from_le_bytes(magic) {
        MAGIC => {}
        0 if mapping.len() == FIRST_LENGTH && (0..FIRST_LENGTH).all(|offset| mapping.load(offset) == 0) => {
            return Ok(None);
        }
        _ => return Err("is no store; name one, or a new file".to_owned()),
    }
    // Before the first commit both slots are zeros, or the first one to be written is torn.
    let newest =
        SLOTS.into_iter().filter_map(|slot| read_slot(mapping, slot)).max_by_key(|slot| slot.sequence);
    Ok(Some(newest.unwrap_or(NOTHING)))
}

/// Makes an empty store of zeros.
pub fn begin<M: Writable>(mapping: &M) -> Commit {
    mapping.copy_in(0, &MAGIC.to_le_bytes());
    NOTHING
}

/// Over the older of the two: the newer stays valid until this one is whole.
pub fn write<M: Writable>(mapping: &M, commit: Commit) {
    mapping.copy_in(slot_of(commit.sequence), &encode(commit));
}

pub fn slot_of(sequence: u64) -> usize {
    SLOTS[(sequence % 2) as usize]
}

pub fn encode(commit: Commit) -> [u8; SLOT_LEN] {
    let mut bytes = [0; SLOT_LEN];
    bytes[..8].copy_from_slice(&commit.sequence.to_le_bytes());
    bytes[8..16].copy_from_slice(&(commit.end as u64).to_le_bytes());
    let sum = checksum(&[&bytes[..16]]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn read_slot<M: Mapping>(mapping: &M, slot: usize) -> Option<Commit> {
    let mut bytes = [0; SLOT_LEN];
    mapping.copy_out(slot, &mut bytes);
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
    let commit = Commit { sequence: word(0), end: usize::try_from(word(8)).ok()? };
    let valid = commit.sequence > 0 && commit.end >= LOG_START && encode(commit) == bytes;
    valid.then_some(commit)
}

/// FNV-1a, 64 bits: against tearing and rot, not against malice.
pub fn checksum(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes
        .fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
