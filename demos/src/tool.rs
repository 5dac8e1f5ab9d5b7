//! The `brkmap` tool: which system call does a request for memory become?
//!
//! ```text
//!   cli ── compare ─┬─ observe ── tracer ─┬─ spawn ── seccomp     (this process)
//!       ├─ sweep  ──┘      │              └─ ptrace
//!       ├─ trace ──────────│── summary
//!       └─ demo            └╌╌ marker ╌╌ probe                     (a fresh process each)
//! ```
//!
//! The tool never allocates through brkmap itself: it runs itself as the C probe, and there the
//! break has to be the measured allocator's alone.

pub mod arguments;
pub mod bytes;
pub mod cli;
pub mod compare;
pub mod console;
pub mod contender;
pub mod demo;
pub mod error;
pub mod explain;
pub mod flags;
pub mod locate;
pub mod marker;
pub mod observe;
pub mod probe;
pub mod ptrace;
pub mod regions;
pub mod seccomp;
pub mod spawn;
pub mod summary;
pub mod sweep;
pub mod syscall;
pub mod table;
pub mod trace;
pub mod tracer;

/// The number every `--json` document carries; it changes when a field changes its meaning or goes.
pub const JSON_SCHEMA: u32 = 1;
