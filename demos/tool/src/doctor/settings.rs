//! Which configuration is in force, as far as it can be seen from outside.

use brkmap_base::Bytes;
use brkmap_witness::maps::Maps;

use super::finding::{Finding, note};
use super::machine::Fact;
use super::patient::Patient;
use crate::variables;

pub fn of(patient: &Patient, in_effect: bool) -> (Vec<Fact>, Vec<Finding>) {
    // Where rights are raised no variable is read.
    let environment = if patient.secure { &[] } else { patient.environment.as_slice() };
    let (threshold, by) = variables::threshold(environment);
    let by = match by {
        Some(name) => format!("by {name}"),
        None if patient.secure => "the default; with raised rights no variable is read".to_owned(),
        None => "the default".to_owned(),
    };
    let mut facts = vec![Fact::plain("mmap threshold", format!("{} ({by})", Bytes(threshold)))];
    if let Some(pid) = patient.pid.filter(|_| in_effect) {
        facts.push(arena(pid));
    }
    let wrong = variables::wrong(environment).into_iter();
    (facts, wrong.map(|wrong| note(wrong.reason, wrong.text, wrong.help)).collect())
}

/// Whose the arena's memory is: the kernel names the break `[heap]`.
fn arena(pid: i32) -> Fact {
    let maps = Maps::of(pid).ok();
    let length = maps.as_ref().and_then(|maps| {
        let heap = maps.regions().find(|region| region.line.ends_with("[heap]"))?;
        Some((heap.addresses.end - heap.addresses.start) as u64)
    });
    match length {
        Some(length) => Fact::plain("arena", format!("the break, {}", Bytes(length))),
        None => Fact::plain("arena", "regions by mmap: the process has no break"),
    }
}
