//! Who asks for the library, and what the loader makes of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Effect;
use super::finding::{Finding, note, obstacle};
use super::obstacles;
use super::patient::Patient;
use crate::elf::{self, Elf};

const VARIABLE: &str = "LD_PRELOAD";
const LIST: &str = "/etc/ld.so.preload";

/// A library that is asked for, and by what.
struct Entry {
    name: String,
    by: &'static str,
}

impl Entry {
    fn is_ours(&self) -> bool {
        is_ours(&self.name)
    }
}

pub fn is_ours(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|file| file.starts_with("libbrkmap"))
}

/// What the loader would preload into the program.
fn entries(patient: &Patient) -> Vec<Entry> {
    let words = |text: &[u8], ends: &[u8]| -> Vec<String> {
        let parts = text.split(|byte| ends.contains(byte)).filter(|part| !part.is_empty());
        parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    };
    let variable = patient.variable(VARIABLE).map(OsStr::as_bytes).unwrap_or_default();
    let list = std::fs::read(patient.seen(Path::new(LIST))).unwrap_or_default();
    let named = |names: Vec<String>, by| names.into_iter().map(move |name| Entry { name, by });
    named(words(variable, b" :"), VARIABLE).chain(named(words(&list, b" :\t\n"), LIST)).collect()
}

/// Of a command: what would come of it.
pub fn effect(patient: &Patient, program: &Elf) -> (Effect, Vec<Finding>) {
    if program.inside == Some("brkmap") {
        return (Effect::Yes("inside of the program".to_owned()), obstacles::of(patient, program));
    }
    let mut findings = obstacles::of(patient, program);
    findings.extend(asked(patient));
    if findings.iter().any(|finding| finding.stops) {
        return (Effect::No, findings);
    }
    match first_malloc(patient, program) {
        Ok(library) => (Effect::Yes(library), findings),
        Err(finding) => {
            findings.push(finding);
            (Effect::No, findings)
        }
    }
}

/// What is wrong with the way in which the library is asked for.
pub fn asked(patient: &Patient) -> Vec<Finding> {
    let entries = entries(patient);
    let ours: Vec<&Entry> = entries.iter().filter(|entry| entry.is_ours()).collect();
    if ours.is_empty() {
        return not_asked(patient);
    }
    let mut found = Vec::new();
    if patient.secure && ours.iter().all(|entry| entry.by == VARIABLE) {
        found.push(obstacles::raised_rights(patient));
    }
    // One that is right is enough.
    let mut wrong = Vec::new();
    for entry in &ours {
        match wrong_file(patient, entry) {
            None => return found,
            Some(finding) => wrong.push(finding),
        }
    }
    found.extend(wrong);
    found
}

fn not_asked(patient: &Patient) -> Vec<Finding> {
    let example = "Start it with LD_PRELOAD=libbrkmap.so.0, or with the path of libbrkmap.so.";
    let text = match patient.variable(VARIABLE).map(OsStr::to_string_lossy) {
        Some(value) if value.contains("brkmap") => {
            let text =
                format!("{VARIABLE} is `{value}`, which names no libbrkmap.so as the loader reads it.");
            let help = "Names are separated by colons or blanks, and by nothing else.";
            return vec![obstacle("separator", text, help)];
        }
        Some(value) if !value.is_empty() => format!("{VARIABLE} is `{value}`: it does not name libbrkmap."),
        _ => format!("Nothing asks for it: {VARIABLE} is not set, and {LIST} does not name it."),
    };
    vec![obstacle("not_asked", text, example)]
}

/// Why the file that an entry names cannot be loaded.
fn wrong_file(patient: &Patient, entry: &Entry) -> Option<Finding> {
    let Entry { name, by } = entry;
    // The loader searches for what has no slash, and replaces what begins with a dollar sign.
    if !name.contains('/') || name.contains('$') {
        return None;
    }
    let path = patient.seen(Path::new(name));
    match elf::read(&path) {
        Err(_) if !path.exists() => {
            let text = format!("{by} names {name}, and there is no such file. The loader only warns.");
            let relative = !name.starts_with('/');
            let help = if relative {
                "A relative path counts from where the program starts."
            } else {
                "Write where it is."
            };
            Some(obstacle("no_such_file", text, help))
        }
        Err(error) => {
            let text = format!("{by} names {name}, which cannot be loaded: {error}.");
            Some(obstacle("no_library", text, "It has to be libbrkmap.so itself."))
        }
        Ok(library) => {
            let own = std::env::consts::ARCH.replace('_', "-");
            (library.machine != own).then(|| {
                let text = format!("{name} is for {}, and this machine is {own}.", library.machine);
                obstacle(
                    "library_architecture",
                    text,
                    "Build it here, or take the package for this architecture.",
                )
            })
        }
    }
}

/// The library whose malloc the program will have, if that is ours: the loader is asked what it would load, in its
/// order, and starts nothing.
fn first_malloc(patient: &Patient, program: &Elf) -> Result<String, Finding> {
    let loader = program.loader.as_deref().unwrap_or(Path::new("/no/loader"));
    let output = Command::new(loader).arg("--list").arg(&patient.program).output();
    let output = output.map_err(|error| {
        obstacle(
            "loader",
            format!("{} cannot be run: {error}.", loader.display()),
            "The program cannot start.",
        )
    })?;
    let (listed, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let loaded: Vec<PathBuf> = listed.lines().filter_map(loaded).collect();
    let Some(ours) = loaded.iter().position(|path| is_ours(&path.to_string_lossy())) else {
        let said = complaints.lines().find(|line| line.contains("brkmap")).unwrap_or(complaints.trim());
        let said = said.trim_start_matches("ERROR: ld.so: ").trim_end_matches('.');
        let text = format!("The loader does not load it: {said}.");
        return Err(obstacle("loader", text, "LD_DEBUG=libs shows where the loader looks."));
    };
    let defines = |path: &&PathBuf| elf::read(path).is_ok_and(|elf| elf.defines_malloc);
    match loaded[..ours].iter().find(defines) {
        None => Ok(loaded[ours].display().to_string()),
        Some(before) => {
            let text = format!("{} stands before it and defines malloc too.", before.display());
            Err(obstacle("another_first", text, "The first in LD_PRELOAD wins: put libbrkmap.so there."))
        }
    }
}

/// The path in a line `name => path (0x…)` or `path (0x…)`.
fn loaded(line: &str) -> Option<PathBuf> {
    let name = line.trim().split(" (0x").next()?;
    let path = name.split(" => ").last()?;
    path.starts_with('/').then(|| path.into())
}

/// A library that a running process has not got, though something asks for it now.
pub fn started_before(patient: &Patient) -> Finding {
    let by = entries(patient).into_iter().find(Entry::is_ours).map_or(LIST, |entry| entry.by);
    let text = format!("{by} names it, and {} has not loaded it.", patient.shown());
    note("not_loaded", text, "Start the program anew: the loader reads the list at a program's start.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_lines_name_files() {
        assert_eq!(loaded("\tlibc.so.6 => /lib/libc.so.6 (0x00007f)"), Some("/lib/libc.so.6".into()));
        assert_eq!(loaded("\t/lib/ld.so (0x00007f)"), Some("/lib/ld.so".into()));
        assert_eq!(loaded("\tlinux-vdso.so.1 (0x00007f)"), None);
        assert_eq!(loaded("\tlibx.so => not found"), None);
    }

    #[test]
    fn ours_is_known_by_its_name() {
        assert!(is_ours("/usr/lib/libbrkmap.so.0") && is_ours("libbrkmap.so"));
        assert!(!is_ours("/opt/libbrkmap/libc.so") && !is_ours("libjemalloc.so.2"));
    }
}
