//! The system calls a piece of work makes, and the bytes they copy: counted by ptrace, from outside.
//!
//! Each piece runs in a child that stops at every call. It is slow, so times are never taken here.
//!
//! ```text
//!   child   TRACEME, SIGSTOP ─ MARK ─ work ─ MARK ─ _exit
//!   parent           options   start counting  stop counting
//! ```

use std::collections::BTreeMap;

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::Serialize;

use crate::child::Child;
use crate::trouble::{During, Trouble};

/// A call no kernel has: it fails with ENOSYS, and the tracer sees it pass.
const MARK: i64 = 987_654;

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

    pub fn of(&self, name: &str) -> u64 {
        self.by_name.get(name).copied().unwrap_or(0)
    }
}

pub type Work<'a> = Box<dyn FnOnce() -> Result<(), Trouble> + 'a>;

#[derive(Default)]
struct Traced {
    calls: Calls,
    counting: bool,
    entered: Option<(i64, u64)>,
    ended: Option<bool>,
}

/// Runs the pieces at the same time, a child each; `Err` is why it could not be counted.
///
/// The program must not have started threads, nor have other children.
pub fn count(pieces: Vec<Work<'_>>) -> Result<Vec<Calls>, String> {
    let mut traced: BTreeMap<Pid, Traced> = BTreeMap::new();
    let mut children = Vec::new();
    for piece in pieces {
        // SAFETY: no threads, see above.
        let child = unsafe { Child::start(|| traceable(piece)) }.map_err(|error| error.to_string())?;
        traced.insert(child.pid(), Traced::default());
        children.push(child);
    }
    let order: Vec<Pid> = children.iter().map(Child::pid).collect();
    let result = follow(&mut traced).map_err(|errno| format!("ptrace is not possible here: {errno}"));
    for child in children {
        if traced[&child.pid()].ended.is_some() {
            child.reaped();
        }
    }
    result?;
    if traced.values().any(|child| child.ended == Some(false)) {
        return Err("a traced child failed; ptrace may be forbidden here (Yama, a container)".to_owned());
    }
    Ok(order.iter().filter_map(|pid| traced.remove(pid)).map(|child| child.calls).collect())
}

fn traceable(piece: Work<'_>) -> Result<(), Trouble> {
    ptrace::traceme().during("let the parent trace us")?;
    // SAFETY: stops this process until the parent has set its options; MARK does nothing at all.
    unsafe {
        libc::syscall(libc::SYS_kill, libc::syscall(libc::SYS_getpid), libc::SIGSTOP);
        libc::syscall(MARK);
    }
    let result = piece();
    // SAFETY: as above.
    unsafe { libc::syscall(MARK) };
    result
}

fn follow(traced: &mut BTreeMap<Pid, Traced>) -> nix::Result<()> {
    // One that failed leaves the others waiting for it: they are killed when dropped.
    let failed = |traced: &BTreeMap<Pid, Traced>| traced.values().any(|child| child.ended == Some(false));
    while traced.values().any(|child| child.ended.is_none()) && !failed(traced) {
        let status = waitpid(None, Some(WaitPidFlag::__WALL))?;
        let Some(pid) = status.pid() else { continue };
        let Some(child) = traced.get_mut(&pid) else { continue };
        match status {
            WaitStatus::Exited(_, code) => child.ended = Some(code == 0),
            WaitStatus::Signaled(..) => child.ended = Some(false),
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {
                ptrace::setoptions(pid, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL)?;
                ptrace::syscall(pid, None)?;
            }
            WaitStatus::Stopped(_, signal) => ptrace::syscall(pid, signal)?,
            WaitStatus::PtraceSyscall(_) => {
                child.stopped_at(&ptrace::syscall_info(pid)?);
                ptrace::syscall(pid, None)?;
            }
            _ => {}
        }
    }
    Ok(())
}

impl Traced {
    fn stopped_at(&mut self, info: &libc::ptrace_syscall_info) {
        if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            // SAFETY: `op` says which member of the union the kernel filled.
            let entry = unsafe { info.u.entry };
            self.entered = Some((entry.nr.cast_signed(), entry.args[2]));
            return;
        }
        let Some((number, length)) = self.entered.take() else { return };
        if number == MARK {
            self.counting = !self.counting;
        } else if self.counting {
            // SAFETY: as above: this is the exit of the call.
            let exit = unsafe { info.u.exit };
            *self.calls.by_name.entry(name(number)).or_default() += 1;
            self.calls.copied += copied(number, length, exit.sval);
        }
    }
}

fn copied(number: i64, length: u64, result: i64) -> u64 {
    let moved = u64::try_from(result).unwrap_or(0);
    match number {
        libc::SYS_read | libc::SYS_write | libc::SYS_pread64 | libc::SYS_pwrite64 => moved,
        libc::SYS_mq_timedreceive => moved,
        // mq_send answers 0; its third argument is the length.
        libc::SYS_mq_timedsend if result == 0 => length,
        _ => 0,
    }
}

fn name(number: i64) -> String {
    let name = match number {
        libc::SYS_read => "read",
        libc::SYS_write => "write",
        libc::SYS_pread64 => "pread",
        libc::SYS_pwrite64 => "pwrite",
        libc::SYS_lseek => "lseek",
        libc::SYS_fsync => "fsync",
        libc::SYS_fdatasync => "fdatasync",
        libc::SYS_mmap => "mmap",
        libc::SYS_munmap => "munmap",
        libc::SYS_mremap => "mremap",
        libc::SYS_madvise => "madvise",
        libc::SYS_msync => "msync",
        libc::SYS_brk => "brk",
        libc::SYS_futex => "futex",
        libc::SYS_mq_timedsend => "mq_send",
        libc::SYS_mq_timedreceive => "mq_receive",
        _ => return format!("call {number}"),
    };
    name.to_owned()
}
