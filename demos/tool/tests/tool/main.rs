//! The `brkmap` command, run as a user runs it.

mod commands;
mod compare;
mod doctor;
mod profile;
mod race;
mod strace;
mod support;
mod sweep;
mod trace;
mod watched;
