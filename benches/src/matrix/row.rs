//! What is run with every allocator of a set: a load, or a real program.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use brkmap_base::error::Result;

use super::cli::Options;
use super::contender::{Measured, Subject};
use super::process::Invocation;
use super::programs::{self, Ready};
use crate::load::line::Line;
use crate::results::{Cell, Kind, Row};
use crate::workloads::{self, Workload};

pub enum What {
    Load(&'static Workload),
    Program(Ready),
}

/// A row and how to fill it.
pub struct Measurable {
    pub what: What,
    pub row: Row,
}

impl Measurable {
    fn new(what: What, name: &str, about: &str) -> Measurable {
        let (name, about) = (name.into(), about.into());
        Measurable { what, row: Row { name, about, cells: BTreeMap::new(), failure: None } }
    }

    pub fn invocation(&self, subject: &Subject, scale: u64, threads: usize) -> Invocation {
        match &self.what {
            What::Load(workload) => {
                subject.load(&["run", workload.name, &scale.to_string(), &threads.to_string()])
            }
            What::Program(ready) => ready.invocation(subject.preload.as_deref(), scale),
        }
    }

    /// The cell of an allocator, as long as it has not failed there.
    pub fn cell(&mut self, name: &str) -> Option<&mut Cell> {
        Some(self.row.cells.entry(name.to_owned()).or_default()).filter(|cell| cell.failure.is_none())
    }

    pub fn has_failed(&self, name: &str) -> bool {
        self.row.cells.get(name).is_some_and(|cell| cell.failure.is_some())
    }

    pub fn fail(&mut self, name: &str, failure: String) {
        eprintln!("matrix: {} with {name}: {failure}", self.row.name);
        self.row.cells.entry(name.to_owned()).or_default().failure = Some(failure);
    }
}

/// What the output of a run has to be, whoever allocated: a load's checksum, of a program a hash of all.
pub fn checksum(what: &What, output: &str) -> std::result::Result<String, String> {
    match what {
        What::Load(_) => {
            let checksum = Line::parse(output).and_then(|line| line.get("checksum"));
            checksum.map(|checksum| checksum.to_string()).ok_or_else(|| "it printed no checksum".into())
        }
        What::Program(_) if output.is_empty() => Err("it printed nothing".into()),
        What::Program(_) => {
            let mut hasher = DefaultHasher::new();
            output.hash(&mut hasher);
            Ok(format!("{:016x}", hasher.finish()))
        }
    }
}

/// Those that allocate the most: what programs on musl suffer from.
const ON_MUSL: [&str; 4] = ["maps", "trees", "server", "medium"];

/// Gives the set its rows.
pub fn find(set: &mut Measured, options: &Options, folder: &Path) -> Result<()> {
    if set.subjects.is_empty() {
        return Ok(());
    }
    let wanted = |name: &str| match set.kind {
        Kind::Musl => options.wants_of_few(name, &ON_MUSL),
        _ => options.wants(name),
    };
    let wanted: Vec<_> = workloads::ALL.iter().filter(|workload| wanted(workload.name)).collect();
    for workload in wanted {
        set.rows.push(Measurable::new(What::Load(workload), workload.name, workload.about));
    }
    if set.kind != Kind::Preload {
        return Ok(());
    }
    let libc = libc_file(set);
    for program in programs::ALL.iter().filter(|program| options.wants(program.name)) {
        match program.prepare(folder, &libc)? {
            Ok(ready) => {
                set.rows.push(Measurable::new(What::Program(ready), program.name, program.about));
            }
            Err(reason) => set.skip(program.name, reason),
        }
    }
    Ok(())
}

/// The file that malloc is from where nothing is preloaded.
fn libc_file(set: &Measured) -> PathBuf {
    let said =
        Invocation::new(&set.subjects[0].load, &["whose-malloc"]).run().and_then(|outcome| outcome.success());
    said.map_or_else(|_| "libc.so.6".into(), |said| said.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_without_a_checksum_has_failed() {
        let what = What::Load(&workloads::ALL[0]);
        assert_eq!(checksum(&what, "checksum=12 peak_kib=3\n").as_deref(), Ok("12"));
        assert!(checksum(&what, "peak_kib=3\n").is_err());
    }
}
