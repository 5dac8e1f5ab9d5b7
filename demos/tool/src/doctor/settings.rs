//! Which configuration is in force, as far as it can be seen from outside.

use std::path::Path;

use brkmap_base::Bytes;
use brkmap_core::keys::Key;
use brkmap_core::keys::sources::FILE;
use brkmap_witness::maps::Maps;

use super::finding::{Finding, note};
use super::machine::Fact;
use super::patient::Patient;
use crate::variables::Configuration;

pub fn of(patient: &Patient, in_effect: bool) -> (Vec<Fact>, Vec<Finding>) {
    let configuration = match patient.secure {
        true => Configuration::none(),
        false => Configuration::of(&patient.environment, &patient.seen(Path::new(FILE))),
    };
    let fact = |key: Key| {
        let (value, by) = configuration.value(key);
        let by = if patient.secure { "default; with raised rights nothing is read" } else { &by };
        Fact::plain(key.row().name, format!("{value} ({by})"))
    };
    let mut facts = vec![fact(Key::MmapThreshold), fact(Key::DirtyFloor)];
    let others = configuration.set().filter(|key| ![Key::MmapThreshold, Key::DirtyFloor].contains(key));
    facts.extend(others.map(fact));
    if let Some(pid) = patient.pid.filter(|_| in_effect) {
        facts.push(arena(pid));
    }
    (facts, configuration.wrong.iter().map(|wrong| note("configuration", &wrong.text, "")).collect())
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
