//! Who takes part, and how a run of each is made.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use brkmap_base::bar::bar;
use brkmap_base::error::{Error, Result};
use brkmap_race::look::{self, Look};
use brkmap_race::process::{Group, Invocation};
use brkmap_race::sample::Sample;
use brkmap_race::{library, peers};
use brkmap_witness::memory;

use super::Arguments;
use crate::{console, elf, locate};

pub use crate::contender::LIBC;

const BRKMAP: &str = "brkmap";

/// Whoever starts a longer command can end it.
const LIMIT: Duration = Duration::from_secs(7 * 24 * 3600);

pub struct Lane {
    pub name: String,
    invocation: Invocation,
    pub look: Option<Look>,
    pub failure: Option<String>,
    /// Of the outputs of its runs, as long as they are the same.
    pub output: Output,
}

/// What a command prints, run after run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Unknown,
    Always(u64),
    Changing,
}

impl Lane {
    pub fn library(&self) -> Option<&Path> {
        self.invocation.preload.as_deref()
    }

    pub fn input(&self) -> Option<&Path> {
        self.invocation.input.as_deref()
    }

    /// A timed run.
    pub fn run(&mut self) -> Result<Sample, String> {
        // The kernel's peak begins with ours, for we forked it; where it got no higher, it was seen before.
        let floor = memory::peak() as u64 >> 10;
        let mut outcome = self.invocation.run()?;
        if let Some(failure) = outcome.failure() {
            return Err(failure.to_owned());
        }
        let print = outcome.fingerprint()?;
        self.output = match self.output {
            Output::Unknown => Output::Always(print),
            Output::Always(before) if before == print => self.output,
            _ => Output::Changing,
        };
        let mut sample = outcome.sample;
        if let Some(look) = self.look.as_ref().filter(|_| sample.peak_kib <= floor) {
            sample.peak_kib = look.peak_kib;
        }
        Ok(sample)
    }
}

/// Those the command line asks for: brkmap, libc's own, what is installed, what is given.
pub fn chosen(args: &Arguments) -> Result<Vec<Lane>> {
    runnable(&args.command[0])?;
    let input = input(args)?;
    let installed: Vec<(&str, PathBuf)> =
        peers::ALL.iter().filter_map(|peer| Some((peer.name, peer.found()?))).collect();
    let given = |name: &str| args.with.iter().any(|with| with.name == name);
    let mut names: Vec<&str> = vec![BRKMAP, LIBC];
    names.extend(installed.iter().map(|(name, _)| *name).filter(|name| !given(name)));
    names.extend(args.with.iter().map(|with| with.name.as_str()));
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(Error::Usage(format!("the name `{}` is taken: give --with another", twice.1)));
    }
    let known = names.join(", ");
    let asked = args.only.iter().map(|name| ("--only", name));
    let asked = asked.chain(args.against.iter().map(|name| ("--against", name)));
    if let Some((option, name)) = asked.into_iter().find(|(_, name)| !names.contains(&name.as_str())) {
        let peer = peers::ALL.iter().find(|peer| peer.name == name);
        let hint = peer.map_or(String::new(), |peer| format!(". It is Debian's package {}", peer.package));
        return Err(Error::Usage(format!("{option} `{name}`: it is not here; there are {known}{hint}")));
    }
    let wanted = |name: &str| {
        args.only.is_empty()
            || args.only.iter().any(|only| only == name)
            || args.against.as_deref() == Some(name)
    };
    let lane = |name: &str, preload: Option<PathBuf>| {
        let mut invocation = Invocation::new(Path::new(&args.command[0]), &args.command[1..]);
        (invocation.preload, invocation.input) = (preload, input.clone());
        (invocation.group, invocation.limit) = (Group::Ours, LIMIT);
        Lane { name: name.into(), invocation, look: None, failure: None, output: Output::Unknown }
    };
    // Before anything is built.
    let mut others = Vec::new();
    for with in args.with.iter().filter(|with| wanted(&with.name)) {
        others.push(lane(&with.name, Some(allocator(&with.path)?)));
    }
    let mut lanes = Vec::new();
    if wanted(BRKMAP) {
        let own = locate::preload(args.preload.as_deref())?;
        lanes.push(lane(BRKMAP, Some(library::preloadable(&own)?)));
    }
    if wanted(LIBC) {
        lanes.push(lane(LIBC, None));
    }
    for (name, path) in installed.iter().filter(|(name, _)| wanted(name) && !given(name)) {
        lanes.push(lane(name, Some(library::preloadable(path)?)));
    }
    lanes.extend(others);
    if std::env::var_os("LD_PRELOAD").is_some_and(|list| !list.is_empty()) {
        console::note("LD_PRELOAD of the environment is left out: it would be a second allocator, or none.");
    }
    Ok(lanes)
}

/// A library that can be preloaded and would be malloc.
fn allocator(path: &Path) -> Result<PathBuf> {
    let full = library::preloadable(path)?;
    let shown = path.display();
    match elf::read(&full) {
        Ok(elf) if elf.defines_malloc => Ok(full),
        Ok(_) => Err(Error::Usage(format!("{shown} is no allocator: it defines no malloc"))),
        Err(error) => Err(Error::Usage(format!("the library {shown} cannot be read: {error}"))),
    }
}

/// That there is such a command, as a shell finds it.
fn runnable(name: &OsStr) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let shown = name.to_string_lossy();
    let found = |path: &Path| path.metadata().is_ok_and(|data| data.is_file());
    let may_run =
        |path: &Path| path.metadata().is_ok_and(|data| data.permissions().mode() & 0o111 != 0) && found(path);
    let (places, missing) = if shown.contains('/') {
        (vec![PathBuf::from(name)], "no such file")
    } else {
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
        (std::env::split_paths(&path).map(|folder| folder.join(name)).collect(), "no such command in PATH")
    };
    if places.iter().any(|path| may_run(path)) {
        return Ok(());
    }
    match places.iter().find(|path| path.exists()) {
        None => Err(Error::Missing(format!("`{shown}`: {missing}"))),
        Some(path) if !found(path) => {
            Err(Error::NotRunnable(format!("`{shown}` is no file that can be run")))
        }
        Some(_) => {
            Err(Error::NotRunnable(format!("`{shown}` cannot be run: it has no right to be executed")))
        }
    }
}

/// What each run reads: a file that is given, or that is our stdin. Anything else could be read only once.
fn input(args: &Arguments) -> Result<Option<PathBuf>> {
    if let Some(path) = &args.input {
        let file = std::fs::File::open(path);
        let data = file.and_then(|file| file.metadata());
        return match data {
            Ok(data) if data.is_dir() => Err(Error::Usage(format!("--input {} is a folder", path.display()))),
            Ok(_) => Ok(Some(path.clone())),
            Err(error) => Err(Error::Usage(format!("--input {} cannot be read: {error}", path.display()))),
        };
    }
    let own = Path::new("/proc/self/fd/0");
    Ok(own.metadata().is_ok_and(|data| data.is_file()).then(|| own.to_owned()))
}

/// Watches each lane once. What the user has to know; an error where nothing can be raced.
pub fn look(lanes: &mut [Lane], interrupted: fn() -> bool) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let progress = bar(lanes.len() as u64, "watching each once");
    for lane in &mut *lanes {
        match look::at(&lane.invocation) {
            Ok((look, failure)) => {
                lane.failure = match failure {
                    None if !look.loaded => Some("its library was not loaded".to_owned()),
                    other => other,
                };
                lane.look = Some(look);
            }
            Err(error @ Error::Failed(_)) => {
                if notes.is_empty() {
                    notes
                        .push(format!("No run could be watched, so its memory calls are not known: {error}"));
                }
                lane.failure = lane.run().err();
                lane.output = Output::Unknown;
            }
            Err(error) => return Err(error),
        }
        if interrupted() {
            return Err(Error::Interrupted);
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    let reads = lanes.iter().any(|lane| lane.look.as_ref().is_some_and(|look| look.reads_input));
    if reads && lanes.iter().all(|lane| lane.input().is_none()) {
        let why = if std::io::stdin().is_terminal() { "" } else { ", for a pipe can be read only once" };
        notes.push(format!(
            "The command reads its stdin, which is empty here{why}: --input FILE gives it a file."
        ));
    }
    Ok(notes)
}

/// Why there is no race.
pub fn all_failed(command: &OsStr, lanes: &[Lane]) -> String {
    let command = command.to_string_lossy();
    let failure = |lane: &Lane| lane.failure.clone().unwrap_or_default();
    let first = failure(&lanes[0]);
    if lanes.iter().all(|lane| lane.look.as_ref().is_some_and(|look| !look.loaded)) {
        return format!(
            "`{command}` takes no preloaded library: it is linked statically, or raises its rights. \
             `brkmap doctor -- {command}` says which"
        );
    }
    if lanes.iter().all(|lane| failure(lane) == first) {
        return format!("`{command}` fails under each allocator, libc's own included: {first}");
    }
    let each = lanes.iter().map(|lane| format!("{}: {}", lane.name, failure(lane)));
    format!("`{command}` fails under each allocator: {}", each.collect::<Vec<_>>().join("; "))
}
