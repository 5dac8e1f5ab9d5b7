//! The system calls a piece of work makes, and the bytes they copy: counted by ptrace, from outside.
//!
//! Each piece runs in a child that stops at every call. It is slow, so times are never taken here.

use std::collections::BTreeMap;

use brkmap_base::error::Result;
use brkmap_base::output;
use brkmap_tracer::spawn::Piece;
use brkmap_tracer::{End, Event, Filter, Tracer};
use brkmap_witness::mark;
use serde::Serialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    pub by_name: BTreeMap<String, u64>,
    /// Bytes copied between user space and the kernel by read, write and their kin.
    pub copied: u64,
}

impl Calls {
    pub fn all(&self) -> u64 {
        self.by_name.values().sum()
    }

    /// `read 6, lseek 1`, by name.
    pub fn words(&self) -> String {
        let each: Vec<_> = self.by_name.iter().map(|(name, count)| format!("{name} {count}")).collect();
        each.join(", ")
    }

    pub fn of(&self, name: &str) -> u64 {
        self.by_name.get(name).copied().unwrap_or(0)
    }
}

pub type Work<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

#[derive(Default)]
struct Counted {
    calls: Calls,
    /// What it calls from here on is not of the work.
    done: bool,
}

/// Runs the pieces at the same time, a child each; `Err` is why it could not be counted.
///
/// The program must not have started threads, nor have other children.
pub fn count(works: Vec<Work<'_>>) -> Result<Vec<Calls>, String> {
    let pieces = works.into_iter().map(piece).collect();
    // SAFETY: no threads, see above.
    let tracer = unsafe { Tracer::fork(pieces, &Filter::every_call_and_marks()) };
    let tracer = tracer.map_err(|error| error.to_string())?;
    let children = tracer.pids();
    let mut counted: Vec<Counted> = children.iter().map(|_| Counted::default()).collect();
    let ends = tracer.run(|event| {
        let Some(place) = children.iter().position(|child| *child == event.tid()) else { return };
        let piece = &mut counted[place];
        match event {
            Event::Call(call) if !piece.done => {
                *piece.calls.by_name.entry(call.syscall.to_string()).or_default() += 1;
                piece.calls.copied += call.copied();
            }
            Event::Call(_) | Event::Executed { .. } | Event::Ends { .. } => {}
            Event::Mark { .. } => piece.done = true,
        }
    });
    let ends = ends.map_err(|error| error.to_string())?;
    if ends.iter().any(|end| *end != End::Exited(0)) {
        return Err("a traced child failed".to_owned());
    }
    Ok(counted.into_iter().map(|piece| piece.calls).collect())
}

fn piece<'a>(work: Work<'a>) -> Piece<'a> {
    Box::new(|| {
        let result = work();
        mark::send([0; 4]);
        match result {
            Ok(()) => 0,
            Err(error) => {
                output::complain(format_args!("error in the child: {error}"));
                1
            }
        }
    })
}
