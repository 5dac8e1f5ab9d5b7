//! A record of the log: `checksum u64 | key length u32 | value length u32 | key | value | padding to 8`.
//! A value length of u32::MAX says that the key is deleted.

use super::header::checksum;
use brkmap_base::error::Error;
use brkmap_demos::mapping::Mapping;

const HEAD: usize = 16;
const DELETED: u32 = u32::MAX;
pub const KEY_AT_MOST: usize = 4096;
pub const VALUE_AT_MOST: usize = 256 << 20;

#[derive(Debug)]
pub struct Record {
    pub key: Vec<u8>,
    /// Offset and length of the value in the mapping; None deletes the key.
    pub value: Option<(usize, usize)>,
    end: usize,
}

pub fn encode(key: &[u8], value: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    if key.is_empty() || key.len() > KEY_AT_MOST {
        let len = key.len();
        return Err(Error::usage(format!("a key has 1 to {KEY_AT_MOST} bytes, not {len}")));
    }
    if let Some(value) = value
        && value.len() > VALUE_AT_MOST
    {
        let len = value.len();
        return Err(Error::usage(format!("a value has at most {VALUE_AT_MOST} bytes, not {len}")));
    }
    let value_len = value.map_or(DELETED, |value| value.len() as u32);
    let lengths = [(key.len() as u32).to_le_bytes(), value_len.to_le_bytes()].concat();
    let value = value.unwrap_or_default();
    let sum = checksum(&[&lengths, key, value]);
    let mut bytes = [&sum.to_le_bytes()[..], &lengths, key, value].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    Ok(bytes)
}

impl Record {
    /// The record at `at`, if there is a whole and sound one before `limit`.
    pub fn read<M: Mapping>(mapping: &M, at: usize, limit: usize) -> Option<Record> {
        let mut head = [0; HEAD];
        if limit.checked_sub(at)? < HEAD {
            return None;
        }
        mapping.copy_out(at, &mut head);
        let word = |from: usize| u32::from_le_bytes(head[from..from + 4].try_into().expect("four"));
        let (key_len, value_len) = (word(8) as usize, word(12));
        let stored = if value_len == DELETED { 0 } else { value_len as usize };
        let end = (at + HEAD).checked_add(key_len)?.checked_add(stored)?.checked_next_multiple_of(8)?;
        if key_len == 0 || key_len > KEY_AT_MOST || end > limit {
            return None;
        }
        let mut body = vec![0; key_len + stored];
        mapping.copy_out(at + HEAD, &mut body);
        let sum = checksum(&[&head[8..], &body]);
        let value = (value_len != DELETED).then_some((at + HEAD + key_len, stored));
        body.truncate(key_len);
        (sum.to_le_bytes() == head[..8]).then_some(Record { key: body, value, end })
    }

    /// Where the next record begins.
    pub fn end(&self) -> usize {
        self.end
    }
}
