//! The ptrace requests the tracer makes, and the stops it waits for.
//!
//! Plain `waitpid` and `ptrace` where nix has no word for what passes through: real-time signals,
//! which have to reach the traced program like any other, and PTRACE_LISTEN.

use std::mem::size_of;

use libc::{c_int, c_void, pid_t};
use nix::errno::Errno;
use nix::sys::ptrace::Options;
use nix::unistd::Pid;

// libc's own have the type of its ptrace's first argument, and that differs between libcs.
const PTRACE_CONT: u32 = 7;
const PTRACE_SYSCALL: u32 = 24;
const PTRACE_LISTEN: u32 = 0x4208;
const PTRACE_GET_SYSCALL_INFO: u32 = 0x420e;
const PTRACE_EVENT_STOP: c_int = 128;

const INFO_EXIT: u8 = 2;
const INFO_SECCOMP: u8 = 3;

/// How a stopped thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// To the next stop, with this signal delivered (0: none).
    Continue(c_int),
    /// To the end of the call it is at.
    ToEndOfCall,
    /// It stays stopped, as job control wants it, until it is continued.
    StayStopped,
}

/// What a thread did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Exited(c_int),
    Killed(c_int),
    /// A signal is about to be delivered.
    Signal(c_int),
    /// Stopped by job control, with the others of its process.
    GroupStop,
    /// A new thread's first stop, or one that was continued after a group stop.
    Ready,
    Seccomp,
    CallStop,
    /// It forked: the new process has a copy of its memory.
    Forked,
    /// It cloned or vforked: the new thread or process runs in the same memory.
    Cloned,
    /// It replaced its program.
    Executed,
    /// It ends: its memory is still there, and it runs no more.
    Ends,
    Other,
}

/// What PTRACE_GET_SYSCALL_INFO says; the same on every architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallInfo {
    Filtered { number: u64, args: [u64; 6], tag: u32 },
    Ended { value: i64, error: bool },
    Neither,
}

/// `struct ptrace_syscall_info` of linux/ptrace.h, its union spelled for the largest member.
#[repr(C)]
#[derive(Default)]
struct RawInfo {
    op: u8,
    pad: [u8; 3],
    arch: u32,
    instruction: u64,
    stack: u64,
    number_or_value: u64,
    args_or_error: [u64; 6],
    tag: u32,
    reserved: u32,
}

/// Whether threads stop once more when they end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Last {
    #[default]
    Untold,
    /// They do, and it is told.
    Told,
}

/// Starts tracing a process that waits to be traced.
pub fn seize(pid: pid_t, last: Last) -> nix::Result<()> {
    let mut options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACESECCOMP
        // Without a tracer the filter makes every memory call fail with ENOSYS: a program that
        // outlived us could only misbehave.
        | Options::PTRACE_O_EXITKILL;
    options.set(Options::PTRACE_O_TRACEEXIT, last == Last::Told);
    nix::sys::ptrace::seize(Pid::from_raw(pid), options)
}

pub fn resume(tid: pid_t, how: Resume) -> nix::Result<()> {
    let (request, signal) = match how {
        Resume::Continue(signal) => (PTRACE_CONT, signal),
        Resume::ToEndOfCall => (PTRACE_SYSCALL, 0),
        Resume::StayStopped => (PTRACE_LISTEN, 0),
    };
    let (none, signal) = (std::ptr::null_mut::<c_void>(), signal as usize as *mut c_void);
    // SAFETY: these three requests take no address and a number as data; nothing is written.
    Errno::result(unsafe { libc::ptrace(request as _, tid, none, signal) }).map(drop)
}

/// The new thread's id after `Forked` and `Cloned`, the caller's former one after `Executed`.
pub fn message(tid: pid_t) -> Option<pid_t> {
    nix::sys::ptrace::getevent(Pid::from_raw(tid)).ok().map(|id| id as pid_t)
}

pub fn call_info(tid: pid_t) -> nix::Result<CallInfo> {
    let mut info = RawInfo::default();
    let (size, place) = (size_of::<RawInfo>() as *mut c_void, (&raw mut info).cast::<c_void>());
    // SAFETY: the kernel writes at most `size` bytes to `place`, which is `info`; every field is a
    // plain number, so any bytes are a value.
    Errno::result(unsafe { libc::ptrace(PTRACE_GET_SYSCALL_INFO as _, tid, size, place) })?;
    Ok(match info.op {
        INFO_SECCOMP => {
            CallInfo::Filtered { number: info.number_or_value, args: info.args_or_error, tag: info.tag }
        }
        INFO_EXIT => CallInfo::Ended {
            value: info.number_or_value as i64,
            error: info.args_or_error[0].to_ne_bytes()[0] != 0,
        },
        _ => CallInfo::Neither,
    })
}

/// Waits until one of this thread's children or tracees changes; `None` when there is none left.
pub fn wait() -> Option<(pid_t, Change)> {
    let mut status = 0;
    loop {
        // __WNOTHREAD: another thread of this process may have children of its own (the tests do).
        // SAFETY: waitpid writes the status to the one c_int given.
        let tid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        match Errno::result(tid) {
            Ok(tid) => return Some((tid, change(status))),
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

fn change(status: c_int) -> Change {
    if libc::WIFEXITED(status) {
        return Change::Exited(libc::WEXITSTATUS(status));
    }
    if libc::WIFSIGNALED(status) {
        return Change::Killed(libc::WTERMSIG(status));
    }
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        0 if signal == libc::SIGTRAP | 0x80 => Change::CallStop,
        0 => Change::Signal(signal),
        PTRACE_EVENT_STOP if signal == libc::SIGTRAP => Change::Ready,
        PTRACE_EVENT_STOP => Change::GroupStop,
        libc::PTRACE_EVENT_SECCOMP => Change::Seccomp,
        libc::PTRACE_EVENT_FORK => Change::Forked,
        libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => Change::Cloned,
        libc::PTRACE_EVENT_EXEC => Change::Executed,
        libc::PTRACE_EVENT_EXIT => Change::Ends,
        _ => Change::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(signal: c_int, event: c_int) -> c_int {
        event << 16 | signal << 8 | 0x7f
    }

    #[test]
    fn a_group_stop_is_told_from_the_signal_that_causes_it() {
        assert_eq!(change(stopped(libc::SIGSTOP, 0)), Change::Signal(libc::SIGSTOP));
        assert_eq!(change(stopped(libc::SIGTSTP, PTRACE_EVENT_STOP)), Change::GroupStop);
        assert_eq!(change(stopped(libc::SIGTRAP, PTRACE_EVENT_STOP)), Change::Ready);
    }

    #[test]
    fn a_programs_own_trap_is_a_signal_and_a_call_stop_is_not() {
        assert_eq!(change(stopped(libc::SIGTRAP, 0)), Change::Signal(libc::SIGTRAP));
        assert_eq!(change(stopped(libc::SIGTRAP | 0x80, 0)), Change::CallStop);
        assert_eq!(change(stopped(libc::SIGTRAP, libc::PTRACE_EVENT_SECCOMP)), Change::Seccomp);
        assert_eq!(change(stopped(libc::SIGRTMIN(), 0)), Change::Signal(libc::SIGRTMIN()));
    }

    #[test]
    fn ends_carry_code_or_signal() {
        assert_eq!(change(3 << 8), Change::Exited(3));
        assert_eq!(change(libc::SIGSEGV), Change::Killed(libc::SIGSEGV));
        assert_eq!(change(stopped(libc::SIGTRAP, libc::PTRACE_EVENT_EXIT)), Change::Ends);
    }

    #[test]
    fn the_kernels_structure_has_this_size() {
        assert_eq!(size_of::<RawInfo>(), 88);
    }
}
