//! A store of our own, from its first put to its last kill.

use std::process::ExitCode;

use crate::store::Store;
use brkmap_base::error::{During, Error};
use brkmap_demos::interrupt::Watch;
use brkmap_demos::mapping::Mapping;
use brkmap_demos::proof::frames::Frame;
use brkmap_demos::proof::maps;
use brkmap_demos::report::{Form, Report};

use crate::torture;

pub fn run(kills: u32, seed: u64, form: Form) -> Result<ExitCode, Error> {
    let signals = Watch::start()?;
    let dir = tempfile::tempdir().during("make a directory")?;
    let mut report = Report::new("store", form);
    basics(&mut report, &dir.path().join("basics"))?;
    growth(&mut report, &dir.path().join("growth"))?;
    torture::run(&mut report, dir.path(), kills, seed, &signals)?;
    report.finish()
}

fn basics(report: &mut Report, path: &std::path::Path) -> Result<(), Error> {
    report.step("put, get, delete, scan");
    let mut store = Store::create(path)?;
    for (key, value) in [("apple", "red"), ("plum", "blue"), ("pear", "green")] {
        store.put(key.as_bytes(), value.as_bytes())?;
        store.commit()?;
    }
    store.delete(b"plum")?;
    store.commit()?;
    let line = maps::line_of(store.mapping().addr())?.unwrap_or_default();
    report.claim(line.contains("rw-s"), "the file is mapped shared and writable", line);
    store.put(b"quince", b"never committed")?;
    drop(store);
    let store = Store::open(path)?;
    let found: Vec<String> = store
        .scan(b"")
        .map(|(key, value)| format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(&value)))
        .collect();
    report.claim(
        found == ["apple=red", "pear=green"],
        "reopened, it holds what was committed, in order, and nothing else",
        found.join(", "),
    );
    Ok(())
}

fn growth(report: &mut Report, path: &std::path::Path) -> Result<(), Error> {
    report.step("growth: ftruncate for the file, mremap for the mapping");
    let mut store = Store::create(path)?;
    let (old_addr, old_len) = (store.mapping().addr(), store.mapping().len());
    store.mapping().load(0);
    let before = Frame::of(old_addr)?;
    store.put(b"large", &vec![b'x'; old_len])?;
    store.commit()?;
    let (addr, len) = (store.mapping().addr(), store.mapping().len());
    store.mapping().load(0);
    let after = Frame::of(addr)?;
    let on_disk = std::fs::metadata(path).during("ask for the file's length")?.len();
    report.claim(
        len > old_len && on_disk == len as u64,
        "file and mapping grew together",
        format!("{old_len} bytes at {old_addr:#x} became {len} at {addr:#x}; the file has {on_disk}"),
    );
    let why = format!("first page before: {before}, after: {after}");
    report.claim_or_skip("mremap moved no page", before.same_as(after).map(|same| (same, why)));
    Ok(())
}
