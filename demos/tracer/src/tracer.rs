//! The loop that follows a program and everything it starts, and reports its calls.
//!
//! ```text
//!            ┌───────── CONT ─────────┐
//!            ▼                        │
//!   running ──▶ seccomp stop ── SYSCALL ──▶ call-end stop        a watched call
//!            ──▶ seccomp stop ── CONT                            a mark: its arguments say it all
//!            ──▶ signal stop ── CONT with that signal
//!            ──▶ group stop ── LISTEN                            stays stopped as job control wants
//! ```

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::rc::Rc;

use brkmap_base::error::{Error, Result};
use brkmap_witness::mark::Words;
use libc::pid_t;

use crate::call::{Call, Outcome};
use crate::ptrace::{self, CallInfo, Change, Resume};
use crate::seccomp::{self, Filter};
use crate::spawn::{self, Child, Piece, Program};
use crate::syscall::Syscall;

/// What the tracer tells its user, in the order the kernel made it happen.
pub enum Event<'a> {
    Call(&'a Call),
    /// What a thread sent by `brkmap_witness::mark`.
    Mark {
        tid: pid_t,
        words: Words,
    },
    /// A process runs another program from here on. It goes on when the caller has been told.
    Executed {
        tid: pid_t,
    },
    /// A thread is at its end, with its memory still there. Of programs that ask for it.
    Ends {
        tid: pid_t,
    },
}

impl Event<'_> {
    pub fn tid(&self) -> pid_t {
        match self {
            Event::Call(call) => call.tid,
            Event::Mark { tid, .. } | Event::Executed { tid } | Event::Ends { tid } => *tid,
        }
    }
}

/// How the traced program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exited(i32),
    Killed(i32),
}

impl End {
    /// As a shell reports it.
    pub fn code(self) -> i32 {
        match self {
            End::Exited(code) => code,
            End::Killed(signal) => 128 + signal,
        }
    }
}

/// A program being traced, or some pieces of this one.
pub struct Tracer {
    roots: Vec<Root>,
    /// The command, of which there is one root; none for pieces of this program.
    program: Option<OsString>,
    tracees: HashMap<pid_t, Tracee>,
    /// Stopped, and not yet announced by the parent's own stop: they wait, so that what is known
    /// of the parent's break is known of theirs before they move it.
    unannounced: HashMap<pid_t, Resume>,
    /// Whether what runs is what is to be watched.
    started: bool,
}

/// A child of this process.
struct Root {
    child: Child,
    end: Option<End>,
}

struct Tracee {
    /// Where the break stands; one cell for everything that runs in the same memory.
    top: Rc<Cell<Option<u64>>>,
    call: Option<(Syscall, [u64; 6])>,
}

impl Tracee {
    fn new(top: Rc<Cell<Option<u64>>>) -> Tracee {
        Tracee { top, call: None }
    }
}

impl Tracer {
    pub fn start(program: &Program, filter: &Filter) -> Result<Tracer> {
        let name = program.argv.first().ok_or_else(|| Error::usage("no command given"))?;
        Ok(Tracer { program: Some(name.clone()), ..Tracer::of(vec![program.spawn(filter)?]) })
    }

    /// Runs the pieces at the same time, a child each. When one fails, the others are ended: they may be waiting
    /// for it. This process has no other children.
    ///
    /// # Safety
    /// If other threads run, the pieces use nothing they may hold a lock of.
    pub unsafe fn fork(pieces: Vec<Piece<'_>>, filter: &Filter) -> Result<Tracer> {
        let children = pieces.into_iter().map(|piece| {
            // SAFETY: the caller's promise.
            unsafe { spawn::piece(piece, filter) }
        });
        Ok(Tracer { started: true, ..Tracer::of(children.collect::<Result<_>>()?) })
    }

    fn of(children: Vec<Child>) -> Tracer {
        let tracees = children.iter().map(|child| (child.pid, Tracee::new(Rc::default()))).collect();
        let roots = children.into_iter().map(|child| Root { child, end: None }).collect();
        Tracer { roots, program: None, tracees, unannounced: HashMap::new(), started: false }
    }

    /// The children, in the order of the pieces.
    pub fn pids(&self) -> Vec<pid_t> {
        self.roots.iter().map(|root| root.child.pid).collect()
    }

    /// Follows all that was started until it and all its descendants are gone, detached ones too: without a
    /// tracer the filter would make their watched calls fail. How each of the children ended.
    pub fn run(mut self, mut report: impl FnMut(Event<'_>)) -> Result<Vec<End>> {
        while let Some((tid, change)) = ptrace::wait() {
            if let Some(how) = self.react(tid, change, &mut report) {
                // A thread can be killed at any stop; that it is gone is then its next change.
                let _ = ptrace::resume(tid, how);
            }
        }
        let program = self.program.unwrap_or_else(|| "a piece of this program".into());
        let end = |root: Root| match root.end {
            Some(end) if self.started => Ok(end),
            _ => Err(root.child.failure(&program)),
        };
        self.roots.into_iter().map(end).collect()
    }

    /// How the thread goes on; `None` when it is gone or has to wait.
    fn react(&mut self, tid: pid_t, change: Change, report: &mut impl FnMut(Event<'_>)) -> Option<Resume> {
        match change {
            Change::Exited(code) => return self.gone(tid, End::Exited(code)),
            Change::Killed(signal) => return self.gone(tid, End::Killed(signal)),
            _ => {}
        }
        if !self.tracees.contains_key(&tid) {
            // Its first stop is the one ptrace makes, or a group stop its process is in already.
            let group = change == Change::GroupStop;
            let how = if group { Resume::StayStopped } else { Resume::Continue(0) };
            self.unannounced.insert(tid, how);
            return None;
        }
        match change {
            Change::Signal(signal) => return Some(Resume::Continue(signal)),
            Change::GroupStop => return Some(Resume::StayStopped),
            Change::Forked => self.born(tid, |top| Rc::new(Cell::new(top.get()))),
            Change::Cloned => self.born(tid, Rc::clone),
            Change::Executed => {
                self.executed(tid);
                report(Event::Executed { tid });
            }
            Change::Seccomp => return Some(self.call_begins(tid, report)),
            Change::CallStop => self.call_ends(tid, report),
            Change::Ends if self.started => report(Event::Ends { tid }),
            Change::Exited(_) | Change::Killed(_) | Change::Ready | Change::Ends | Change::Other => {}
        }
        Some(Resume::Continue(0))
    }

    fn gone(&mut self, tid: pid_t, end: End) -> Option<Resume> {
        self.tracees.remove(&tid);
        self.unannounced.remove(&tid);
        if let Some(root) = self.roots.iter_mut().find(|root| root.child.pid == tid) {
            root.end = Some(end);
            if end != End::Exited(0) {
                self.end_the_others();
            }
        }
        // A parent killed in the middle of its fork announces nobody any more.
        for (orphan, how) in std::mem::take(&mut self.unannounced) {
            self.tracees.insert(orphan, Tracee::new(Rc::default()));
            let _ = ptrace::resume(orphan, how);
        }
        None
    }

    fn end_the_others(&self) {
        for root in self.roots.iter().filter(|root| root.end.is_none()) {
            // SAFETY: kill takes numbers; the child is not waited for, so the id is still its own.
            unsafe { libc::kill(root.child.pid, libc::SIGKILL) };
        }
    }

    fn born(&mut self, parent: pid_t, inherit: impl Fn(&Rc<Cell<Option<u64>>>) -> Rc<Cell<Option<u64>>>) {
        let Some(child) = ptrace::message(parent) else { return };
        let top = inherit(&self.tracees[&parent].top);
        // One taken for an orphan is known already, and may be in the middle of a call.
        self.tracees.entry(child).or_insert_with(|| Tracee::new(top));
        if let Some(how) = self.unannounced.remove(&child) {
            let _ = ptrace::resume(child, how);
        }
    }

    /// The other threads are gone, and the one that called exec has taken its process's id.
    fn executed(&mut self, tid: pid_t) {
        if let Some(former) = ptrace::message(tid)
            && former != tid
        {
            self.tracees.remove(&former);
        }
        self.tracees.insert(tid, Tracee::new(Rc::default()));
        self.started = true;
    }

    fn call_begins(&mut self, tid: pid_t, report: &mut impl FnMut(Event<'_>)) -> Resume {
        match ptrace::call_info(tid) {
            Ok(CallInfo::Filtered { args: [_, words @ .., _], tag: seccomp::MARK, .. }) => {
                report(Event::Mark { tid, words });
                Resume::Continue(0)
            }
            Ok(CallInfo::Filtered { number, args, .. }) => {
                let call = Some((Syscall::from_number(number.cast_signed()), args));
                self.tracees.get_mut(&tid).expect("a known thread").call = call;
                Resume::ToEndOfCall
            }
            _ => Resume::Continue(0),
        }
    }

    fn call_ends(&mut self, tid: pid_t, report: &mut impl FnMut(Event<'_>)) {
        let Ok(CallInfo::Ended { value, error }) = ptrace::call_info(tid) else { return };
        let tracee = self.tracees.get_mut(&tid).expect("a known thread");
        let Some((syscall, args)) = tracee.call.take() else { return };
        let outcome = if error { Outcome::Failed(-value as i32) } else { Outcome::Returned(value as u64) };
        let break_before = match (syscall, outcome) {
            (Syscall::Brk, Outcome::Returned(now)) => tracee.top.replace(Some(now)),
            _ => None,
        };
        // What runs between fork and exec is this program, not the one to watch.
        if self.started {
            report(Event::Call(&Call { tid, syscall, args, outcome, break_before }));
        }
    }
}
