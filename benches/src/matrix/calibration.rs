//! What each thing that is counted costs on this machine, measured before it is counted.

use std::path::Path;

use super::process::{Invocation, Result};
use super::profile::PerCall;
use super::{build, callgrind};
use crate::load::line::Line;
use crate::results::account::Calibration;

/// The calls that have a cost of their own.
const CALLS: [&str; 8] = ["brk", "mmap", "munmap", "mremap", "madvise", "mprotect", "msync", "refused"];

/// Costs, and by how many instructions bytes are known.
pub struct Costs {
    pub calibration: Calibration,
    pub clearing: PerCall,
    pub copying: PerCall,
}

pub fn measure(profile: &str) -> Result<Costs> {
    callgrind::available()?;
    let load = build::load("system", Some("system"), profile)?;
    let line = Invocation::new(&load, &["calibrate"]).run()?.success()?;
    let line = Line::parse(&line).ok_or("the load told no costs")?;
    let cost = |name: &str| {
        let picoseconds = line.get(&format!("{name}_ps"));
        picoseconds
            .map(|picoseconds| picoseconds as f64 / 1e3)
            .ok_or_else(|| format!("{name} could not be measured"))
    };
    let calls: Result<_> = CALLS.iter().map(|name| Ok(((*name).to_owned(), cost(name)?))).collect();
    Ok(Costs {
        calibration: Calibration {
            instruction: instruction(&load)?,
            small_fault: cost("small_fault")?,
            huge_fault: cost("huge_fault").ok(),
            copied_fault: cost("copied_fault")?,
            calls: calls?,
            cleared_byte: cost("clear_kib")? / 1024.0,
            copied_byte: cost("copy_kib")? / 1024.0,
        },
        clearing: per_call(&load, "clear")?,
        copying: per_call(&load, "copy")?,
    })
}

/// Of libc's malloc and free, which is what an allocator's instructions are like: in nanoseconds.
fn instruction(load: &Path) -> Result<f64> {
    const TIMES: u64 = 10_000_000;
    let invocation = |words: &[&str]| Invocation::new(load, words);
    let each = callgrind::round(invocation)?;
    let once = || Ok::<_, String>(invocation(&["box-round", &TIMES.to_string()]).run()?.sample);
    let samples = (0..5).map(|_| once()).collect::<Result<Vec<_>>>()?;
    let least = samples.iter().map(|sample| sample.user_ms).fold(f64::MAX, f64::min);
    Ok(least * 1e6 / (each * TIMES as f64))
}

fn per_call(load: &Path, what: &str) -> Result<PerCall> {
    const SIZES: [usize; 2] = [256, 64 << 10];
    let count = |bytes: usize| {
        let of = |times: u64| {
            callgrind::count(&Invocation::new(load, &[what, &bytes.to_string(), &times.to_string()]))
        };
        Ok::<_, String>((bytes, of(1100)?.saturating_sub(of(100)?) as f64 / 1000.0))
    };
    Ok(PerCall::between(count(SIZES[0])?, count(SIZES[1])?))
}
