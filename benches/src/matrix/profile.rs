//! What callgrind wrote of a run: whose instructions they were.
//!
//! The file names an object, a source file and a function, and then the costs of lines there; a call has lines of its
//! own, and after them one with the cost of all that was called. Where a function was inlined, the source file is that
//! of the inlined code: so the allocator's part of a program that has it inside is found too.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use crate::results::account::Moved;

/// How an allocator's code is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// All of a library.
    Library(PathBuf),
    /// Source files whose path has one of these in it, and functions whose name begins with one of those.
    Names { files: &'static [&'static str], functions: &'static [&'static str] },
}

/// By an allocator inside a Rust program, and for libc's own: source files, and functions of what has no lines.
#[rustfmt::skip]
const INSIDE: [(&str, &[&str], &[&str]); 8] = [
    ("brkmap", &["allocator/src/"], &["brkmap::"]),
    ("mimalloc", &["libmimalloc-sys"], &["mi_", "_mi_"]),
    ("jemalloc", &["jemalloc"], &["_rjem_", "je_"]),
    ("snmalloc", &["snmalloc"], &["sn_", "snmalloc::"]),
    ("rusty_alloc", &["rusty_alloc"], &["rusty_alloc"]),
    ("smmalloc", &["smmalloc"], &["smmalloc::"]),
    ("dlmalloc", &["dlmalloc"], &["dlmalloc::"]),
    ("", &["malloc/malloc.c", "malloc/arena.c"], &[
        "malloc", "free", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign", "cfree", "__libc_malloc",
        "__libc_free", "__libc_calloc", "__libc_realloc", "__libc_memalign", "_int_malloc", "_int_free", "_int_realloc",
        "_int_memalign", "sysmalloc", "systrim", "unlink_chunk", "tcache", "arena_get", "ptmalloc",
        // musl's.
        "__malloc", "__bin_chunk", "__expand_heap", "__libc_donate", "__simple_malloc",
    ]),
];

impl Own {
    /// Of the allocator of this name, without a library: inside of the program, or libc's.
    pub fn of(name: &str) -> Own {
        let (_, files, functions) =
            INSIDE.iter().find(|(known, ..)| name.starts_with(known)).expect("the last one takes every name");
        Own::Names { files, functions }
    }

    fn has(&self, place: &Place) -> bool {
        match self {
            Own::Library(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                place.object.rsplit('/').next() == Some(name.as_ref())
            }
            Own::Names { .. } => self.has_file(&place.file) || self.has_function(&place.function),
        }
    }

    fn has_file(&self, file: &str) -> bool {
        matches!(self, Own::Names { files, .. } if files.iter().any(|part| file.contains(part)))
    }

    fn has_function(&self, function: &str) -> bool {
        matches!(self, Own::Names { functions, .. } if functions.iter().any(|start| function.starts_with(start)))
    }
}

#[derive(Clone, Debug, Default)]
struct Place {
    object: String,
    file: String,
    function: String,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub all: u64,
    pub own: u64,
    pub functions: BTreeMap<String, u64>,
    /// Calls and instructions.
    pub clearing: (u64, u64),
    pub copying: (u64, u64),
}

impl Counted {
    /// Adds what one process did.
    pub fn add(&mut self, text: &str, own: &Own) {
        let mut names = Names::default();
        let (mut here, mut called) = (Place::default(), String::new());
        let mut calls = None;
        for line in text.lines() {
            let (key, value) = line.split_once('=').unwrap_or(("", line));
            match key {
                "ob" => here.object = names.of('o', value),
                "fl" | "fi" | "fe" => here.file = names.of('f', value),
                "fn" => here.function = names.of('n', value),
                "cob" => drop(names.of('o', value)),
                "cfi" | "cfl" => drop(names.of('f', value)),
                "cfn" => called = names.of('n', value),
                "calls" => calls = value.split(' ').next().and_then(|count| count.parse::<u64>().ok()),
                _ => {
                    let Some(cost) = cost(line) else { continue };
                    match calls.take() {
                        Some(count) => self.call(own.has(&here), &called, count, cost),
                        None => self.cost(own, &here, cost),
                    }
                }
            }
        }
    }

    fn cost(&mut self, own: &Own, here: &Place, cost: u64) {
        self.all += cost;
        if own.has(here) {
            self.own += cost;
            let whole = matches!(own, Own::Library(_)) || own.has_function(&here.function);
            let name = if whole { here.function.clone() } else { inlined(&here.file) };
            *self.functions.entry(name).or_default() += cost;
        }
    }

    fn call(&mut self, from_own: bool, called: &str, count: u64, cost: u64) {
        let kind = match called {
            _ if !from_own => return,
            name if name.contains("memset") || name.contains("bzero") => &mut self.clearing,
            name if name.contains("memcpy") || name.contains("memmove") => &mut self.copying,
            _ => return,
        };
        *kind = (kind.0 + count, kind.1 + cost);
    }
}

/// The last two parts of a path: what a file is called here.
fn inlined(file: &str) -> String {
    let parts: Vec<&str> = file.rsplit('/').take(2).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

/// `12 34`, `+3 34`, `* 34`: a line of source and what it cost.
fn cost(line: &str) -> Option<u64> {
    let (position, cost) = line.split_once(' ')?;
    let digits = position.trim_start_matches(['+', '-']);
    let is_position =
        position == "*" || !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_position.then(|| cost.trim().parse().ok())?
}

/// A name stands in full where it is first, `(7) name`, and then by its number alone.
#[derive(Default)]
struct Names(HashMap<(char, String), String>);

impl Names {
    fn of(&mut self, kind: char, value: &str) -> String {
        let Some((number, name)) = value.strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
            return value.to_owned();
        };
        let key = (kind, number.to_owned());
        match name.strip_prefix(' ') {
            Some(name) => {
                self.0.insert(key, name.to_owned()).map_or_else(|| name.to_owned(), |_| name.to_owned())
            }
            None => self.0.get(&key).cloned().unwrap_or_default(),
        }
    }
}

/// How many instructions a call of memset or memcpy takes under callgrind, apart from its bytes, and for each of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerCall {
    pub fixed: f64,
    pub byte: f64,
}

impl PerCall {
    /// From what calls of two sizes took.
    pub fn between((small, few): (usize, f64), (large, many): (usize, f64)) -> PerCall {
        let byte = ((many - few) / (large - small) as f64).max(1e-6);
        PerCall { fixed: (few - byte * small as f64).max(0.0), byte }
    }

    pub fn moved(self, (calls, instructions): (u64, u64)) -> Moved {
        let bytes = (instructions as f64 - calls as f64 * self.fixed).max(0.0) / self.byte;
        Moved { calls, instructions, bytes: bytes as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// main calls malloc of a library, which calls memset of libc; an inlined file of ours is in main.
    const FILE: &str = "\
# callgrind format
events: Ir
positions: line
fl=(1) main.c
ob=(1) /bin/program
fn=(1) main
1 100
fi=(2) /x/allocator/src/heap/magazine.rs
+2 30
fe=(1)
* 5
cob=(2) /usr/lib/libx.so.1
cfi=(3) x.c
cfn=(2) malloc
calls=4 10
9 400

ob=(2)
fl=(3)
fn=(2)
10 60
cob=(3) /lib/libc.so.6
cfi=(4) memset.S
cfn=(3) __memset_avx2
calls=2 1
11 340

ob=(3)
fl=(4)
fn=(3)
1 340
";

    #[test]
    fn a_librarys_instructions_are_its_own_without_what_it_calls() {
        let mut counted = Counted::default();
        counted.add(FILE, &Own::Library("/opt/libx.so.1".into()));
        assert_eq!((counted.all, counted.own), (535, 60));
        assert_eq!(counted.functions, BTreeMap::from([("malloc".to_owned(), 60)]));
        assert_eq!((counted.clearing, counted.copying), ((2, 340), (0, 0)));
    }

    #[test]
    fn what_is_inlined_is_found_by_its_file() {
        let mut counted = Counted::default();
        counted.add(FILE, &Own::of("brkmap-override"));
        assert_eq!(counted.own, 30);
        assert_eq!(counted.functions, BTreeMap::from([("heap/magazine.rs".to_owned(), 30)]));
    }

    #[test]
    fn libcs_own_is_found_by_name() {
        let mut counted = Counted::default();
        counted.add(FILE, &Own::of("glibc"));
        assert_eq!((counted.own, counted.clearing), (60, (2, 340)));
        assert_eq!(Own::of("system"), Own::of("glibc"));
        assert_ne!(Own::of("mimalloc-v2"), Own::of("glibc"));
    }

    #[test]
    fn bytes_follow_from_instructions() {
        let per_call = PerCall::between((100, 30.0), (1100, 130.0));
        assert_eq!(per_call, PerCall { fixed: 20.0, byte: 0.1 });
        assert_eq!(per_call.moved((2, 240)), Moved { calls: 2, instructions: 240, bytes: 2000 });
        assert_eq!(per_call.moved((9, 100)).bytes, 0);
    }

    #[test]
    fn a_cost_is_told_from_other_lines() {
        assert_eq!(
            (cost("12 34"), cost("+3 4"), cost("* 5"), cost("-1 6")),
            (Some(34), Some(4), Some(5), Some(6))
        );
        for other in ["", "events: Ir", "summary: 12", "part: 1"] {
            assert_eq!(cost(other), None, "{other}");
        }
    }
}
