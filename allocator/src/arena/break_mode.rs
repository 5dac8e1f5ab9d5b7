//! By which way the arena grows.

/// How the arena grew last.
///
/// ```
/// use brkmap::{BreakMode, Stats};
///
/// match Stats::read().break_mode {
///     Some(BreakMode::Break) => println!("by the break"),
///     Some(BreakMode::Regions) => println!("by regions of its own"),
///     None => println!("nothing was asked of it yet"),
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakMode {
    /// By the process's break (brk).
    Break,
    /// By a region of its own (mmap): the break is not the arena's to move, or cannot be moved.
    Regions,
}

impl BreakMode {
    /// The mode in a word, for people.
    ///
    /// ```
    /// assert_eq!(brkmap::BreakMode::Regions.name(), "regions");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            BreakMode::Break => "break",
            BreakMode::Regions => "regions",
        }
    }
}
