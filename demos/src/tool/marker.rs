//! How a probe tells the tracer where it is: a system call that does nothing.
//!
//! `prctl` with an option nobody has defined fails with EINVAL and touches no memory. The tracer's
//! filter stops it like a memory call, so phase, page faults and pointer travel in its arguments, in
//! order with the memory calls around them; there is no pipe to fill and nothing to allocate.

/// "brkm": the option of `prctl` that makes a call a marker.
pub const MAGIC: u32 = 0x6272_6b6d;

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
        let place = (self.phase as u64) << 8 | self.step as u64;
        // SAFETY: an undefined prctl option is refused with EINVAL before any argument is used.
        unsafe { libc::syscall(libc::SYS_prctl, u64::from(MAGIC), place, self.faults, self.pointer, 0u64) };
    }

    /// Runs in the tracer.
    pub fn receive(args: &[u64; 6]) -> Option<Marker> {
        let phase = *PHASES.get((args[1] >> 8) as usize)?;
        let step = *STEPS.get((args[1] & 0xff) as usize)?;
        Some(Marker { phase, step, faults: args[2], pointer: args[3] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_the_way_through_the_arguments() {
        for phase in PHASES {
            for step in STEPS {
                let place = (phase as u64) << 8 | step as u64;
                let marker = Marker::receive(&[u64::from(MAGIC), place, 7, 9, 0, 0]).unwrap();
                assert_eq!((marker.phase, marker.step), (phase, step));
                assert_eq!((marker.faults, marker.pointer), (7, 9));
            }
        }
        assert!(Marker::receive(&[0, 99 << 8, 0, 0, 0, 0]).is_none());
        assert!(Marker::receive(&[0, 3, 0, 0, 0, 0]).is_none());
    }
}
