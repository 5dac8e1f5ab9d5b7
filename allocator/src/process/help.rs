//! `BRKMAP_CONF=help`: the keys, their defaults, what is in force, and by whom.
#![forbid(unsafe_code)]

use super::instance::ALLOCATOR;
use crate::base::keys::{Key, Kind};
use crate::base::text::Text;
use crate::base::value;
use crate::os::output::write_all;

/// The columns: where each one begins.
const DEFAULT: usize = 18;
const IN_FORCE: usize = 30;
const FROM: usize = 48;

/// Writes the list, a line for each key and one for what it does.
pub fn write() {
    let mut line = Text::<400>::new();
    line.push("brkmap: the keys of BRKMAP_CONF (key:value,key:value) and /etc/brkmap.conf\n  key");
    let head = "brkmap: the keys of BRKMAP_CONF (key:value,key:value) and /etc/brkmap.conf\n".len();
    for (column, title) in [(DEFAULT, "default"), (IN_FORCE, "in force"), (FROM, "by\n")] {
        line.pad(head + column);
        line.push(title);
    }
    write_all(2, line.bytes());
    for key in Key::ALL {
        row(key);
    }
}

fn row(key: Key) {
    let (row, settings) = (key.row(), &ALLOCATOR.arena.settings);
    let mut line = Text::<400>::new();
    line.push("  ");
    line.push(row.name);
    line.pad(DEFAULT - 1);
    line.push(" ");
    match row.kind {
        Kind::Text => line.push("-"),
        kind => value::write(&mut line, kind, row.default),
    }
    line.pad(IN_FORCE - 1);
    line.push(" ");
    match row.kind {
        Kind::Text if !settings.is_on(key) => line.push("-"),
        Kind::Text => line.push_shown(settings.text(key).bytes(), FROM - IN_FORCE - 4),
        kind => value::write(&mut line, kind, settings.get(key)),
    }
    line.pad(FROM - 1);
    line.push(" ");
    settings.write_origin(&mut line, key);
    line.push("\n      ");
    line.push(row.does);
    line.push("\n");
    write_all(2, line.bytes());
}
