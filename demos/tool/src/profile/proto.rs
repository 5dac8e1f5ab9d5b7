//! pprof's profile.proto, as far as a heap profile has it.

use std::io::Read;
use std::path::Path;

use brkmap_base::error::{Error, Result};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct Profile {
    #[prost(message, repeated, tag = "1")]
    pub sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    pub sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    pub location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    pub function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    pub string_table: Vec<String>,
    #[prost(int64, tag = "12")]
    pub period: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueType {
    #[prost(int64, tag = "1")]
    pub kind: i64,
    #[prost(int64, tag = "2")]
    pub unit: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    pub location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Mapping {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(uint64, tag = "2")]
    pub memory_start: u64,
    #[prost(uint64, tag = "3")]
    pub memory_limit: u64,
    #[prost(uint64, tag = "4")]
    pub file_offset: u64,
    #[prost(int64, tag = "5")]
    pub filename: i64,
    #[prost(int64, tag = "6")]
    pub build_id: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Location {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(uint64, tag = "2")]
    pub mapping_id: u64,
    #[prost(uint64, tag = "3")]
    pub address: u64,
    /// Of a profile that has names already, the innermost first.
    #[prost(message, repeated, tag = "4")]
    pub line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Line {
    #[prost(uint64, tag = "1")]
    pub function_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Function {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(int64, tag = "2")]
    pub name: i64,
}

impl Profile {
    /// A text of the table; empty where there is none.
    pub fn text(&self, at: i64) -> &str {
        usize::try_from(at).ok().and_then(|at| self.string_table.get(at)).map_or("", String::as_str)
    }

    /// Which value of a sample has this name.
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.sample_type.iter().position(|kind| self.text(kind.kind) == name)
    }
}

/// A profile, compressed or not.
pub fn read(file: &Path) -> Result<Profile> {
    let shown = file.display();
    let mut bytes = std::fs::read(file).map_err(Error::during(format!("cannot read {shown}")))?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        let unpacked = flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain);
        unpacked.map_err(Error::during(format!("{shown} is cut off, or no gzip")))?;
        bytes = plain;
    }
    let profile = Profile::decode(&bytes[..]).ok().filter(|profile| !profile.sample_type.is_empty());
    let profile = profile.ok_or_else(|| Error::failed(format!("{shown} is no profile of pprof's format")))?;
    if profile.place_of("inuse_space").is_none() {
        let has: Vec<_> = profile.sample_type.iter().map(|kind| profile.text(kind.kind)).collect();
        let has = has.join(", ");
        return Err(Error::failed(format!("{shown} is no heap profile: it has {has}, and not inuse_space")));
    }
    Ok(profile)
}
