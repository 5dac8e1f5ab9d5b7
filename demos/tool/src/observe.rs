//! Watching one probe: which memory calls, page faults and memory belong to which phase.

use std::collections::BTreeMap;
use std::path::Path;

use brkmap_base::error::{Error, Result};
use brkmap_probe::marker::{Marker, Phase, Step};
use brkmap_tracer::{Call, End, Event, Filter, Tracer};
use brkmap_witness::maps::Maps;

use crate::contender::Contender;
use crate::regions::{Origin, Regions};

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
    let tracer = Tracer::start(&program, &Filter::memory_calls_and_marks())?;
    let mut watch = Watch::new(tracer.pids()[0]);
    let mut impostor = None;
    let ends = tracer.run(|event| match event {
        Event::Call(call) => watch.call(call),
        Event::Executed { .. } => {}
        Event::Mark { tid, words } => {
            let Some(marker) = Marker::receive(words) else { return };
            if let (Phase::Hello, Some(library)) = (marker.phase, &contender.preload) {
                impostor = not_from(library, tid, marker.pointer);
            }
            watch.marker(tid, marker);
        }
        Event::Ends { .. } => {}
    })?;
    let name = &contender.name;
    if let Some(owner) = impostor {
        return Err(Error::Failed(format!(
            "{name}: the library was preloaded, yet malloc is that of {owner}; does it define malloc, \
             and is it built for this machine?"
        )));
    }
    match ends[0] {
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
    let maps = Maps::of(tid).ok()?;
    let owner = maps.covering(address as usize).and_then(|region| region.path());
    (owner != library.to_str()).then(|| owner.unwrap_or("nobody").to_owned())
}

#[cfg(test)]
mod tests {
    use brkmap_tracer::{Outcome, Syscall};

    use super::*;

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
}
