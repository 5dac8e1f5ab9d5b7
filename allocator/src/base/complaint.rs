//! What is said of a configuration that does not do what it says: one line on standard error, with the
//! nearest that would be right.
#![forbid(unsafe_code)]

use crate::base::keys::{Key, Kind, PRESETS};
use crate::base::nearest::nearest;
use crate::base::text::Text;
use crate::base::value::{self, Bound};

/// A line in the making. What a source says is cut to `SHOWN` bytes.
pub type Line = Text<384>;
pub const SHOWN: usize = 40;

/// What a line is about: where it was read.
fn begin(source: &str) -> Line {
    let mut line = Line::new();
    line.push(source);
    line.push(": ");
    line
}

fn quote(line: &mut Line, text: &[u8]) {
    line.push("`");
    line.push_shown(text, SHOWN);
    line.push("`");
}

/// A name that is no key's.
pub fn no_key(source: &str, name: &[u8]) -> Line {
    let mut line = begin(source);
    quote(&mut line, name);
    line.push(" is no key, and is ignored");
    if PRESETS.iter().any(|preset| preset.as_bytes() == name) {
        line.push("; write `preset:");
        line.push_shown(name, SHOWN);
        line.push("`");
    } else if let Some(key) = nearest(name, Key::ALL.into_iter().map(|key| key.row().name)) {
        line.push("; `");
        line.push(key);
        line.push("` is the nearest");
    } else {
        line.push("; BRKMAP_CONF=help lists those there are");
    }
    line
}

/// A variable that is none, and resembles `name`.
pub fn no_variable(variable: &str, name: &str) -> Line {
    let mut line = Line::new();
    quote(&mut line, variable.as_bytes());
    line.push(" is no variable of brkmap's, and is ignored; BRKMAP_");
    line.push_bytes(name.bytes().map(|byte| byte.to_ascii_uppercase()));
    line.push(" is the nearest");
    line
}

/// A value that is none.
pub fn no_value(source: &str, key: Key, value: Option<&[u8]>) -> Line {
    let row = key.row();
    let mut line = begin(source);
    line.push(row.name);
    match value {
        Some(value) => {
            line.push(" is ");
            quote(&mut line, value);
            line.push(", which is ignored");
        }
        None => line.push(" has no value, and is ignored"),
    }
    line.push("; it takes ");
    value::describe(&mut line, row.kind);
    let choices: &[&str] = if let Kind::Choice(choices) = row.kind { choices } else { &[] };
    if let Some(choice) = value.and_then(|value| nearest(value, choices.iter().copied())) {
        line.push("; `");
        line.push(choice);
        line.push("` is the nearest");
    }
    line
}

/// A value beyond a bound, and what is taken in its stead.
pub fn clamped(source: &str, key: Key, value: Option<&[u8]>, taken: usize, bound: Bound) -> Line {
    let row = key.row();
    let mut line = begin(source);
    line.push(row.name);
    line.push(" is ");
    quote(&mut line, value.unwrap_or_default());
    line.push("; ");
    value::write(&mut line, row.kind, taken);
    line.push(if bound == Bound::Least {
        " is taken, the least there is"
    } else {
        " is taken, the most there is"
    });
    line
}

/// A file of which not all was read.
pub fn too_long(source: &str, most: usize) -> Line {
    let mut line = begin(source);
    line.push("the file is longer than ");
    line.number(most, 0);
    line.push(" bytes; what is behind its last whole line there is ignored");
    line
}

/// Code that wants something else than the code that came first.
pub fn second_code(key: Key) -> Line {
    let mut line = Line::new();
    line.push("a second BrkMap::with says something else about ");
    line.push(key.row().name);
    line.push(", and is ignored: a process has one allocator, and the first BrkMap that is asked sets it");
    line
}

/// The background thread cannot be made.
pub fn no_thread() -> Line {
    let mut line = begin("background");
    line.push("there can be no thread: what lies unused stays, as without it");
    line
}

/// A file or a descriptor that cannot be written to, and what becomes of what was to go there.
pub fn no_output(key: Key, to: &[u8], instead: &str) -> Line {
    let mut line = begin(key.row().name);
    quote(&mut line, to);
    line.push(" is neither an open descriptor nor a file that can be written; ");
    line.push(instead);
    line
}
