//! What in a program itself keeps a library from being its malloc.

use super::finding::{Finding, note, obstacle};
use super::patient::Patient;
use crate::elf::Elf;

/// By the crate's documentation, for programs that no library reaches.
const BUILT_IN: &str = "A C program can be linked with libbrkmap.a, a Rust program can have the crate.";

pub fn of(patient: &Patient, program: &Elf) -> Vec<Finding> {
    let name = patient.program.display();
    let mut found = Vec::new();
    let own = std::env::consts::ARCH.replace('_', "-");
    if program.machine != own {
        let text =
            format!("{name} is a program for {}, and this machine's library is for {own}.", program.machine);
        found.push(obstacle("architecture", text, "It takes a library that was built for its architecture."));
        return found;
    }
    if program.is_go {
        let text =
            format!("{name} is written in Go: its runtime asks the kernel for memory, and not malloc.");
        found.push(if program.loader.is_none() {
            obstacle("go", text, "No library changes that.")
        } else {
            note("go", text, "Only its parts in C are served.")
        });
    }
    match &program.loader {
        None if !program.is_go => {
            let text = format!("{name} is linked statically: it loads no library.");
            found.push(obstacle("static", text, BUILT_IN));
        }
        Some(loader) if loader.to_string_lossy().contains("ld-musl") => {
            let text =
                format!("{name} is linked with musl ({}), and libbrkmap.so with glibc.", loader.display());
            found.push(obstacle("musl", text, "Build the library for musl, or the crate into the program."));
        }
        _ => {}
    }
    if program.defines_malloc && program.loader.is_some() {
        let text = format!("{name} defines malloc itself, and a program's own definition comes first.");
        found.push(obstacle("own_malloc", text, "Build it without its allocator."));
    }
    match program.inside {
        Some("brkmap") | None => {}
        Some(allocator) => {
            let text = format!("{name} has {allocator} inside, and asks it by names of its own.");
            found.push(note("allocator_inside", text, "What it asks there does not come to malloc."));
        }
    }
    found
}

/// The loader trusts no environment where rights are raised.
pub fn raised_rights(patient: &Patient) -> Finding {
    let text = format!(
        "{} gets more rights than its caller has (setuid, setgid or capabilities): the loader ignores LD_PRELOAD.",
        patient.program.display()
    );
    obstacle("raised_rights", text, "A line in /etc/ld.so.preload reaches such programs too.")
}
