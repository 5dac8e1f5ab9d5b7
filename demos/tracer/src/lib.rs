//! Watching the system calls of a program, or of a piece of this one, from outside.
//!
//! ```text
//!   tracer ─┬─ spawn ── seccomp     who is watched, from the first instruction on; which calls stop
//!           ├─ ptrace               the stops, and how the stopped go on
//!           └─ call ─┬─ syscall     what is reported
//!                    └─ flags
//! ```

pub mod call;
mod flags;
mod ptrace;
pub mod seccomp;
pub mod spawn;
pub mod syscall;
pub mod tracer;

pub use call::{Call, Outcome};
pub use ptrace::Last;
pub use seccomp::Filter;
pub use spawn::Program;
pub use syscall::Syscall;
pub use tracer::{End, Event, Tracer};
