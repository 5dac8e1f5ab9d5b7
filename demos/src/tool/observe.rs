//! Watching one probe: which memory calls, page faults and memory belong to which phase.

use std::collections::BTreeMap;
use std::path::Path;

use super::contender::Contender;
use super::error::{Error, Result};
use super::marker::{Marker, Phase, Step};
use super::regions::{Origin, Regions};
use super::seccomp::Filter;
use super::syscall::Call;
use super::tracer::{End, Event, Tracer};

/// Where the memory that answered a request came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Served {
    Break,
    /// A mapping of `length` bytes that this very request made.
    Fresh {
        length: u64,
    },
    /// A mapping of `length` bytes that was there before.
    Kept {
        length: u64,
    },
    /// Neither: a static area, for example.
    Elsewhere,
    /// The answer was null.
    Refused,
    /// Nothing was asked for: a free.
    #[default]
    Nothing,
}

/// One phase of one probe.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    pub calls: Vec<Call>,
    pub served: Served,
    pub pointer: u64,
    /// Page faults while the call ran, and while every page of its answer was then written to.
    pub faults: u64,
    pub touch_faults: Option<u64>,
}

/// One probe, from its start to its end.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    pub phases: BTreeMap<Phase, Cell>,
}

impl Observation {
    pub fn cell(&self, phase: Phase) -> Option<&Cell> {
        self.phases.get(&phase)
    }
}

/// Runs a fresh probe and watches it.
pub fn observe(contender: &Contender, scenario: &str, size: u64) -> Result<Observation> {
    let program = contender.program(scenario, size);
    let tracer = Tracer::start(&program, &Filter::memory_calls(true))?;
    let mut watch = Watch::new(tracer.pid());
    let mut impostor = None;
    let end = tracer.run(|event| match event {
        Event::Call(call) => watch.call(call),
        Event::Marker { tid, args } => {
            let Some(marker) = Marker::receive(args) else { return };
            if let (Phase::Hello, Some(library)) = (marker.phase, &contender.preload) {
                impostor = not_from(library, tid, marker.pointer);
            }
            watch.marker(tid, marker);
        }
    })?;
    let name = &contender.name;
    if let Some(owner) = impostor {
        return Err(Error::Failed(format!(
            "{name}: the library was preloaded, yet malloc is that of {owner}; does it define malloc, \
             and is it built for this machine?"
        )));
    }
    match end {
        End::Exited(0) if !watch.observation.phases.is_empty() => Ok(watch.observation),
        End::Exited(code) => Err(Error::Failed(format!("{name}: the probe ended with exit code {code}"))),
        End::Killed(signal) => Err(Error::Failed(format!("{name}: the probe was killed by signal {signal}"))),
    }
}

/// Sorts what the tracer reports into phases.
struct Watch {
    tid: i32,
    observation: Observation,
    regions: Regions,
    /// Between `Begin` and `Done`: the phase, its first call's number, and the faults before it.
    open: Option<(Phase, u64)>,
    faults: u64,
}

impl Watch {
    fn new(tid: i32) -> Watch {
        Watch { tid, observation: Observation::default(), regions: Regions::default(), open: None, faults: 0 }
    }

    fn call(&mut self, call: &Call) {
        self.regions.replay(call);
        // An allocator's own background thread serves no request.
        if let (Some((phase, _)), true) = (self.open, call.tid == self.tid) {
            self.observation.phases.entry(phase).or_default().calls.push(*call);
        }
    }

    fn marker(&mut self, tid: i32, marker: Marker) {
        if marker.phase == Phase::Hello || tid != self.tid {
            return;
        }
        let passed = marker.faults.saturating_sub(self.faults);
        self.faults = marker.faults;
        let cell = self.observation.phases.entry(marker.phase).or_default();
        match marker.step {
            Step::Begin => self.open = Some((marker.phase, self.regions.calls())),
            Step::Done => {
                let begun = self.open.take().map_or(0, |(_, calls)| calls);
                cell.faults = passed;
                cell.pointer = marker.pointer;
                cell.served = match (marker.phase, marker.pointer) {
                    (Phase::FreeBoth, _) => Served::Nothing,
                    (_, 0) => Served::Refused,
                    (_, pointer) => match self.regions.origin(pointer) {
                        Origin::Break => Served::Break,
                        Origin::Mapping { length, call } if call > begun => Served::Fresh { length },
                        Origin::Mapping { length, .. } => Served::Kept { length },
                        Origin::Elsewhere => Served::Elsewhere,
                    },
                };
            }
            Step::Touched => cell.touch_faults = Some(passed),
        }
    }
}

/// The file that the code at `address` is from, if it is not `library`. The loader only warns when
/// it cannot preload something, and the table would show libc under another's name.
fn not_from(library: &Path, tid: i32, address: u64) -> Option<String> {
    let maps = std::fs::read_to_string(format!("/proc/{tid}/maps")).ok()?;
    let owner = owner_of(&maps, address);
    (owner.as_deref() != library.to_str()).then(|| owner.unwrap_or_else(|| "nobody".into()))
}

fn owner_of(maps: &str, address: u64) -> Option<String> {
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let range = u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?;
        let path = rest.find('/').map(|at| rest[at..].to_owned());
        range.contains(&address).then_some(path).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::syscall::{Outcome, Syscall};

    fn marker(phase: Phase, step: Step, faults: u64, pointer: u64) -> Marker {
        Marker { phase, step, faults, pointer }
    }

    fn mmap(tid: i32, start: u64, length: u64) -> Call {
        let args = [0, length, 3, 0x22, u64::MAX, 0];
        Call { tid, syscall: Syscall::Mmap, args, outcome: Outcome::Returned(start), break_before: None }
    }

    #[test]
    fn calls_and_faults_go_to_the_phase_they_fall_in() {
        let mut watch = Watch::new(7);
        watch.call(&mmap(7, 0x10000, 0x8000));
        watch.marker(7, marker(Phase::First, Step::Begin, 100, 0));
        watch.call(&mmap(7, 0x70000, 0x2000));
        watch.call(&mmap(8, 0x90000, 0x2000));
        watch.marker(7, marker(Phase::First, Step::Done, 103, 0x70010));
        watch.marker(7, marker(Phase::First, Step::Touched, 108, 0x70010));
        watch.call(&mmap(7, 0x50000, 0x1000));
        let cell = watch.observation.cell(Phase::First).unwrap();
        assert_eq!((cell.calls.len(), cell.faults, cell.touch_faults), (1, 3, Some(5)));
        assert_eq!(cell.served, Served::Fresh { length: 0x2000 });
    }

    #[test]
    fn memory_that_was_there_before_is_kept_memory() {
        let mut watch = Watch::new(7);
        watch.call(&mmap(7, 0x10000, 0x8000));
        watch.marker(7, marker(Phase::First, Step::Begin, 0, 0));
        watch.marker(7, marker(Phase::First, Step::Done, 0, 0x10010));
        watch.marker(7, marker(Phase::Second, Step::Begin, 0, 0));
        watch.marker(7, marker(Phase::Second, Step::Done, 0, 0));
        assert_eq!(watch.observation.cell(Phase::First).unwrap().served, Served::Kept { length: 0x8000 });
        assert_eq!(watch.observation.cell(Phase::Second).unwrap().served, Served::Refused);
    }

    #[test]
    fn code_is_found_in_the_map_it_runs_from() {
        let maps = "1000-2000 r-xp 0 fd:00 12    /usr/lib/libc.so.6\n2000-3000 rw-p 0 00:00 0 \n";
        assert_eq!(owner_of(maps, 0x1800), Some("/usr/lib/libc.so.6".into()));
        assert_eq!(owner_of(maps, 0x2800), None);
        assert_eq!(owner_of(maps, 0x9000), None);
    }
}
