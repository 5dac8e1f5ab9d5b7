//! How a probe tells the tracer where it is: phase, page faults and pointer in the words of a mark.

use brkmap_witness::mark::{self, Words};

/// What the probe does, one table row each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Before anything: carries the address of `malloc`, to show whose it is.
    Hello,
    First,
    Second,
    FreeBoth,
    Again,
    Base,
    Double,
    Quadruple,
}

/// Where in a phase the probe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    Begin,
    /// The request is answered.
    Done,
    /// Every page of the answer has been written to.
    Touched,
}

#[derive(Clone, Copy, Debug)]
pub struct Marker {
    pub phase: Phase,
    pub step: Step,
    /// Minor page faults of the probe since it started.
    pub faults: u64,
    pub pointer: u64,
}

const PHASES: [Phase; 8] = [
    Phase::Hello,
    Phase::First,
    Phase::Second,
    Phase::FreeBoth,
    Phase::Again,
    Phase::Base,
    Phase::Double,
    Phase::Quadruple,
];
const STEPS: [Step; 3] = [Step::Begin, Step::Done, Step::Touched];

impl Marker {
    /// Runs in the probe.
    pub fn send(self) {
        mark::send(self.words());
    }

    fn words(self) -> Words {
        [(self.phase as u64) << 8 | self.step as u64, self.faults, self.pointer, 0]
    }

    /// Runs in the tracer.
    pub fn receive([place, faults, pointer, _]: Words) -> Option<Marker> {
        let phase = *PHASES.get((place >> 8) as usize)?;
        let step = *STEPS.get((place & 0xff) as usize)?;
        Some(Marker { phase, step, faults, pointer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_the_way_through_the_words() {
        for phase in PHASES {
            for step in STEPS {
                let sent = Marker { phase, step, faults: 7, pointer: 9 };
                let marker = Marker::receive(sent.words()).unwrap();
                assert_eq!((marker.phase, marker.step), (phase, step));
                assert_eq!((marker.faults, marker.pointer), (7, 9));
            }
        }
        assert!(Marker::receive([99 << 8, 0, 0, 0]).is_none());
        assert!(Marker::receive([3, 0, 0, 0]).is_none());
    }
}
