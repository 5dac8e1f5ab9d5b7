//! How the allocator speaks: a line on standard error, by its name if it has one.
#![forbid(unsafe_code)]

use super::instance::ALLOCATOR;
use crate::base::complaint::{Line, SHOWN};
use crate::base::fatal;
use crate::base::keys::Key;

/// Says a line, and who says it.
pub fn say(line: &Line) {
    let name = ALLOCATOR.arena.settings.text(Key::Name);
    let name = name.bytes();
    fatal::warn(name.get(..SHOWN).unwrap_or(name), line.bytes());
}
