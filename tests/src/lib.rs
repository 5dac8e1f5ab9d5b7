//! What the whole-program tests share.
//!
//! Two sides. The tests (`tests/tests/*.rs`) start programs and judge them from outside:
//!
//! - [`program`]: a program under the preload library or not, with a deadline
//! - [`calls`]: its memory calls, cut into the spans it marks
//! - [`strace`]: the same by another witness
//! - [`compile`]: C programs that stand beside other mallocs
//! - [`skip`]: saying loudly that a test could not run
//! - [`soak`]: how long it looks for what is rare
//!
//! The programs (`exercise`, `exercise-rust`) are one set of scenarios over two fronts, and judge themselves
//! from inside, with what must not allocate while it measures:
//!
//! - [`exercise`]: the scenarios, by name
//! - [`shadow`]: blocks whose whole content is known, and the storm of threads over them
//! - [`fault`]: memory calls that fail
//! - [`measure`]: resident size, the break, page faults
//! - [`table`]: an array that no allocator under test ever sees

pub mod calls;
pub mod compile;
pub mod exercise;
pub mod fault;
pub mod measure;
pub mod program;
pub mod random;
pub mod shadow;
pub mod skip;
pub mod soak;
pub mod strace;
pub mod table;
