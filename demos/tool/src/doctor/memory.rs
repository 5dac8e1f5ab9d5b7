//! A running process: where its malloc leads, read from its memory.
//!
//! The loader has written the address of malloc into each object that calls it. Whose code that address lies in says
//! whose malloc it is, also in a library that was opened with RTLD_DEEPBIND.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use brkmap_base::error::{Error, Result};
use brkmap_witness::maps::Maps;

use super::Effect;
use super::finding::{Finding, note, obstacle};
use super::patient::Patient;
use super::{obstacles, request};
use crate::elf::{self, Elf};

/// Ends the name of a file that is no longer there.
const DELETED: &str = " (deleted)";

pub fn effect(patient: &Patient, program: &Elf, pid: i32) -> Result<(Effect, Vec<Finding>)> {
    let maps = Maps::of(pid).map_err(Error::during(format_args!("process {pid}")))?;
    if program.inside == Some("brkmap") {
        return Ok((Effect::Yes("inside of the program".to_owned()), obstacles::of(patient, program)));
    }
    let ours = maps.regions().filter_map(|region| region.path()).find(|path| request::is_ours(path));
    let Some(ours) = ours else {
        let mut findings = obstacles::of(patient, program);
        findings.extend(request::asked(patient));
        if !findings.iter().any(|finding| finding.stops) {
            findings.push(Finding { stops: true, ..request::started_before(patient) });
        }
        return Ok((Effect::No, findings));
    };
    let mut findings = Vec::new();
    if ours.ends_with(DELETED) {
        let text = format!("{} was replaced since the process started.", ours.trim_end_matches(DELETED));
        findings.push(note("replaced", text, "It runs on the older one until it starts anew."));
    }
    let leads = leads(patient, pid, &maps);
    let Some(malloc) = leads.iter().find(|lead| is_libc(&lead.caller)).or(leads.first()) else {
        let text = format!(
            "The memory of process {pid} cannot be read, so this is what is loaded, not what is called."
        );
        findings.push(note("unread", text, "As root it can be told for sure."));
        return Ok((Effect::Yes(ours.to_owned()), findings));
    };
    if !request::is_ours(&malloc.callee) {
        findings.extend(obstacles::of(patient, program));
        if !findings.iter().any(|finding| finding.stops) {
            let text = format!("It is loaded, and malloc is that of {}.", malloc.callee);
            findings.push(obstacle(
                "another_first",
                text,
                "The first in LD_PRELOAD wins: put libbrkmap.so there.",
            ));
        }
        return Ok((Effect::No, findings));
    }
    for lead in leads.iter().filter(|lead| !request::is_ours(&lead.callee) && !request::is_ours(&lead.caller))
    {
        let text =
            format!("{} calls the malloc of {}: it was opened with RTLD_DEEPBIND.", lead.caller, lead.callee);
        findings.push(note(
            "deepbind",
            text,
            "What is allocated there is not brkmap's; open it without the flag.",
        ));
    }
    findings.extend(obstacles::of(patient, program).into_iter().filter(|finding| !finding.stops));
    Ok((Effect::Yes(ours.to_owned()), findings))
}

/// An object, and the one whose malloc it calls.
struct Lead {
    caller: String,
    callee: String,
}

fn is_libc(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|file| file.starts_with("libc.so") || file.starts_with("libc-"))
}

/// Every object that calls malloc and was told where that is.
fn leads(patient: &Patient, pid: i32, maps: &Maps) -> Vec<Lead> {
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return Vec::new() };
    let mut begins: BTreeMap<&str, u64> = BTreeMap::new();
    for region in maps.regions() {
        if let Some(path) = region.path() {
            begins.entry(path).or_insert(region.addresses.start as u64);
        }
    }
    let mut found = Vec::new();
    for (path, begin) in begins {
        let Ok(object) = elf::read(&patient.seen(Path::new(path))) else { continue };
        let callees = object.malloc_slots.iter().filter_map(|slot| {
            let mut word = [0; 8];
            memory.read_exact_at(&mut word, begin + (slot - object.base)).ok()?;
            let callee = maps.covering(u64::from_ne_bytes(word) as usize)?.path()?;
            // Its own jump: the loader has not been asked yet.
            (callee != path || object.defines_malloc).then(|| callee.to_owned())
        });
        found.extend(callees.map(|callee| Lead { caller: path.to_owned(), callee }));
    }
    found
}
