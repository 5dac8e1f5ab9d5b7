//! The `brkmap` tool: which system call does a request for memory become?
//!
//! ```text
//!   cli ─┬─ compare ─┬─ table, explain ── comparison
//!        │           └─ observe ─┬─ contender ── locate
//!        ├─ sweep ───── observe ─┴─ regions           brkmap-tracer (this process)
//!        ├─ trace ───── summary                              │
//!        ├─ race ────── contender              brkmap-race   │
//!        ├─ demo ────── locate                        brkmap-probe  (a fresh process each)
//!        ├─ maps, top ── watched                      (a page that a process shares)
//!        ├─ profile ─── locate                        (what a heap profile's file says)
//!        └─ doctor                                    (what is there: files, and the memory of a process)
//! ```
//!
//! The command line knows the commands, and no command knows it: each holds its own arguments.
//!
//! The tool never allocates through brkmap itself: it runs itself as the C probe, and there the
//! break has to be the measured allocator's alone.

pub mod cli;
mod compare;
mod comparison;
pub mod console;
mod contender;
mod demo;
mod doctor;
mod elf;
mod explain;
mod locate;
mod maps;
mod observe;
mod profile;
mod race;
mod regions;
mod summary;
mod sweep;
mod table;
mod top;
mod trace;
mod variables;
mod watched;

pub use contender::PROBE_ARGUMENT;
