//! The command line.

use std::path::PathBuf;

use brkmap_race::amounts::{Percent, Time};
use brkmap_race::peers;
use clap::Parser;

use super::contender::{MUSL, RUST, With};
use super::huge_pages::Mode;
use super::programs;
use super::single::Single;
use crate::results::Kind;
use crate::workloads;

/// Compares allocators by whole processes: CPU, wall, memory, page faults, memory calls.
///
/// Builds what it needs with cargo (the first time that takes minutes, for the peers in C most of them), and
/// leaves out by name what is not there. Writes RESULTS.md, results.json and plots.
#[derive(Clone, Debug, Parser)]
#[command(name = "matrix", version)]
pub struct Options {
    /// How often each program runs with each allocator [default: 7, with --quick 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    repetitions: Option<u16>,

    /// Only these workloads, programs and measurements (see --list)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,

    /// Only these allocators (see --list)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    allocators: Vec<String>,

    /// Only these two, run after run in turn: the ratio of the first to the second with its 95 % interval, row by row,
    /// and beside the clock an account of what is the same in each run (needs valgrind)
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with_all = ["allocators", "repetitions", "callgrind", "quick"])]
    pub pairs: Vec<String>,

    /// How long at most each row of --pairs may take, as 90, 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub time: Time,

    /// A row of --pairs is done when its interval is as narrow
    #[arg(long, value_name = "PERCENT", default_value = "1%")]
    pub width: Percent,

    /// Only allocators of this kind: in Rust programs, preloaded, or in static programs on musl
    #[arg(long, value_name = "KIND", value_parser = ["rust", "preload", "musl"])]
    set: Option<String>,

    /// One more library to preload; ratios are to the one named mimalloc
    #[arg(long, value_name = "NAME=PATH.so")]
    pub with: Vec<With>,

    /// Where the results go
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Adds to the results that are there already, in place of writing them anew
    #[arg(long)]
    pub merge: bool,

    /// Transparent huge pages: never, for what is measured; the other two are the machine's setting, which needs
    /// root and is put back in the end [default: as the machine has them]
    #[arg(long, value_name = "MODE")]
    pub thp: Option<Mode>,

    /// Measures nothing: writes RESULTS.md and the plots anew from the results.json that --output has
    #[arg(long, conflicts_with_all = ["merge", "only", "allocators", "pairs", "set", "with", "quick", "callgrind", "thp"])]
    pub render: bool,

    /// How many threads the workloads of many threads have [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,

    /// Percent of the full work that each program does [default: 100, with --quick 25]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    scale: Option<u16>,

    /// Less of everything: a quarter of an hour, once the peers are built
    #[arg(long)]
    pub quick: bool,

    /// Also counts instructions, at a twentieth of the work (needs valgrind; slow)
    #[arg(long)]
    pub callgrind: bool,

    /// The cargo profile to build with; another one is for testing the matrix, not the allocators
    #[arg(long, value_name = "PROFILE", default_value = "release")]
    pub profile: String,

    /// Names the workloads, programs, measurements and allocators
    #[arg(long)]
    pub list: bool,
}

impl Options {
    pub fn repetitions(&self) -> usize {
        self.repetitions.map_or(if self.quick { 3 } else { 7 }, usize::from)
    }

    pub fn threads(&self) -> usize {
        let here = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(here, usize::from)
    }

    pub fn scale(&self) -> u64 {
        self.scale.map_or(if self.quick { 25 } else { 100 }, u64::from)
    }

    pub fn output(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| super::build::target().join("matrix"))
    }

    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// What takes too long for --quick has to be named there.
    pub fn wants_long(&self, name: &str) -> bool {
        self.wants(name) && !(self.quick && self.only.is_empty())
    }

    /// Of a set that has some rows only, unless more are named.
    pub fn wants_of_few(&self, name: &str, few: &[&str]) -> bool {
        if self.only.is_empty() { few.contains(&name) } else { self.wants(name) }
    }

    pub fn wants_allocator(&self, name: &str) -> bool {
        let wanted = if self.pairs.is_empty() { &self.allocators } else { &self.pairs };
        wanted.is_empty() || wanted.iter().any(|only| only == name)
    }

    pub fn wants_set(&self, kind: Kind) -> bool {
        match self.set.as_deref() {
            Some("rust") => kind == Kind::Rust,
            Some("preload") => kind == Kind::Preload,
            Some("musl") => kind == Kind::Musl,
            _ => true,
        }
    }

    /// The first name that nothing has.
    pub fn unknown(&self) -> Option<String> {
        let things = things();
        let thing = self.only.iter().find(|only| !things.iter().any(|(name, _)| name == *only));
        let mut allocators: Vec<&str> = RUST.iter().map(|peer| peer.name).collect();
        allocators.extend(["brkmap", "glibc", "musl"]);
        allocators.extend(peers::ALL.iter().map(|peer| peer.name));
        allocators.extend(self.with.iter().map(|with| with.name.as_str()));
        let asked = self.allocators.iter().chain(&self.pairs);
        let allocator = asked.clone().find(|only| !allocators.contains(&only.as_str()));
        if !self.pairs.is_empty() && (self.pairs.len() != 2 || self.pairs[0] == self.pairs[1]) {
            return Some("--pairs names two allocators, for example --pairs brkmap,jemalloc".to_owned());
        }
        thing
            .map(|name| format!("no workload, program or measurement `{name}`: see --list"))
            .or_else(|| allocator.map(|name| format!("no allocator `{name}`: see --list")))
    }
}

/// What --only can name.
fn things() -> Vec<(&'static str, &'static str)> {
    let loads = workloads::ALL.iter().map(|workload| (workload.name, workload.about));
    let programs = programs::ALL.iter().map(|program| (program.name, program.about));
    loads.chain(programs).chain(Single::ALL.iter().map(|single| (single.name(), single.about()))).collect()
}

pub fn list() -> String {
    let mut text = String::from("Workloads, programs and measurements (--only):\n");
    for (name, about) in things() {
        text += &format!("  {name:16} {about}\n");
    }
    text += "Allocators in Rust programs (--allocators):\n";
    for peer in &RUST {
        text += &format!("  {}\n", peer.name);
    }
    text += "Allocators in static programs on musl (--allocators):\n";
    for peer in &MUSL {
        text += &format!("  {}\n", peer.name);
    }
    text += "Allocators preloaded (--allocators; more by --with):\n  brkmap\n  glibc\n";
    for peer in &peers::ALL {
        let state = if peer.found().is_some() { "" } else { ": not installed" };
        text += &format!("  {:16} Debian package {}{state}\n", peer.name, peer.package);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Options {
        Options::try_parse_from([&["matrix"], words].concat()).expect("a right command line")
    }

    #[test]
    fn quick_is_less_and_numbers_override_it() {
        assert_eq!(options(&[]).repetitions(), 7);
        let quick = options(&["--quick", "--repetitions", "5", "--threads=3"]);
        assert_eq!((quick.repetitions(), quick.scale(), quick.threads()), (5, 25, 3));
    }

    #[test]
    fn only_what_is_named_is_wanted() {
        let some = options(&["--only", "pairs,redis", "--allocators=brkmap", "--set", "rust"]);
        assert!(some.wants("pairs") && some.wants("redis") && !some.wants("live"));
        assert!(some.wants_allocator("brkmap") && !some.wants_allocator("jemalloc"));
        assert!(some.wants_set(Kind::Rust) && !some.wants_set(Kind::Preload));
        assert_eq!(some.unknown(), None);
        assert!(options(&[]).wants("anything"));
    }

    #[test]
    fn what_takes_long_is_named_or_belongs_to_a_full_run() {
        let wants = |words: &[&str]| options(words).wants_long("scaling");
        assert!(wants(&[]) && wants(&["--quick", "--only=scaling"]));
        assert!(!wants(&["--quick"]) && !wants(&["--only=pairs"]));
    }

    #[test]
    fn a_name_that_nothing_has_is_found() {
        assert!(options(&["--only", "pears"]).unknown().unwrap().contains("pears"));
        assert!(options(&["--allocators", "maloc"]).unknown().unwrap().contains("maloc"));
        assert_eq!(options(&["--with", "mine=/x.so", "--allocators", "mine"]).unknown(), None);
    }

    #[test]
    fn a_pair_is_two() {
        let pair = options(&["--pairs", "brkmap,system"]);
        assert_eq!(pair.unknown(), None);
        assert!(pair.wants_allocator("system") && !pair.wants_allocator("mimalloc"));
        for wrong in ["brkmap", "brkmap,brkmap", "brkmap,system,mimalloc"] {
            assert!(options(&["--pairs", wrong]).unknown().unwrap().contains("two allocators"), "{wrong}");
        }
        assert!(options(&["--pairs", "brkmap,maloc"]).unknown().unwrap().contains("maloc"));
    }

    #[test]
    fn wrong_values_are_refused() {
        for words in [
            ["--repetitions", "0"],
            ["--time", "soon"],
            ["--width", "0"],
            ["--with", "nothing"],
            ["--set", "c"],
        ] {
            assert!(Options::try_parse_from(["matrix", words[0], words[1]]).is_err(), "{words:?}");
        }
    }
}
