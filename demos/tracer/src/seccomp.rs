//! The filter that lets only the watched calls stop the traced program.
//!
//! Without it a tracer stops the program twice for every call it makes; with it a program that
//! reads a million times and maps once is stopped for the mapping.

use std::io;
use std::mem::offset_of;
use std::os::fd::{FromRawFd, OwnedFd};

use brkmap_witness::mark;
use libc::{seccomp_data, sock_filter, sock_fprog};

use crate::syscall::Syscall;

/// What the filter hands to the tracer with a stop.
pub(crate) const CALL: u32 = 1;
pub(crate) const MARK: u32 = 2;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
const AUDIT_ARCH: u32 = 0xc000_00f3;

const RET_ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const RET_TRACE: u32 = libc::SECCOMP_RET_TRACE;

/// As many instructions as the longest filter has.
const MOST: usize = 4 + 2 * Syscall::MEMORY.len() + 4 + 1;

/// A seccomp program, built before the fork: the child may not allocate between fork and exec.
#[derive(Clone, Debug)]
pub struct Filter(Vec<sock_filter>);

impl Filter {
    /// Stops the memory calls.
    pub fn memory_calls() -> Filter {
        Filter::new().sending(&Syscall::MEMORY, RET_TRACE | CALL).otherwise(RET_ALLOW)
    }

    /// Stops the memory calls and these.
    pub fn memory_calls_and(more: &[Syscall]) -> Filter {
        Filter::new()
            .sending(&Syscall::MEMORY, RET_TRACE | CALL)
            .sending(more, RET_TRACE | CALL)
            .otherwise(RET_ALLOW)
    }

    /// Stops the memory calls and the program's marks.
    pub fn memory_calls_and_marks() -> Filter {
        Filter::new().sending(&Syscall::MEMORY, RET_TRACE | CALL).stopping_at_marks().otherwise(RET_ALLOW)
    }

    /// Stops the memory calls, and each write to a descriptor.
    pub fn memory_calls_and_writes_to(descriptor: i32) -> Filter {
        let code = [
            jump_equal(Syscall::Write.number() as u32, 0, 3),
            load(offset_of!(seccomp_data, args)),
            jump_equal(descriptor.cast_unsigned(), 0, 1),
            answer(RET_TRACE | CALL),
        ];
        let mut filter = Filter::new().sending(&Syscall::MEMORY, RET_TRACE | CALL);
        filter.0.extend(code);
        filter.otherwise(RET_ALLOW)
    }

    /// Stops at whatever the program asks for.
    pub fn every_call_and_marks() -> Filter {
        Filter::new().stopping_at_marks().otherwise(RET_TRACE | CALL)
    }

    /// Makes `call` fail with `errno`: what a container that forbids it does.
    pub fn refuse(call: Syscall, errno: i32) -> Filter {
        Filter::new().sending(&[call], libc::SECCOMP_RET_ERRNO | errno as u32).otherwise(RET_ALLOW)
    }

    /// Tells the memory calls to the listener of `install_listening`, which says what becomes of each.
    pub fn tell_memory_calls() -> Filter {
        Filter::new().sending(&Syscall::MEMORY, libc::SECCOMP_RET_USER_NOTIF).otherwise(RET_ALLOW)
    }

    /// A 32-bit program numbers its calls differently; it runs unwatched instead of misread.
    fn new() -> Filter {
        // One allocation: who watches its own allocator builds a filter too.
        let mut code = Vec::with_capacity(MOST);
        code.extend([load(offset_of!(seccomp_data, arch)), jump_equal(AUDIT_ARCH, 1, 0), answer(RET_ALLOW)]);
        code.push(load(offset_of!(seccomp_data, nr)));
        Filter(code)
    }

    /// Each of the calls gets the verdict; the others go on with their number still loaded.
    fn sending(mut self, calls: &[Syscall], verdict: u32) -> Filter {
        for call in calls {
            self.0.extend([jump_equal(call.number() as u32, 0, 1), answer(verdict)]);
        }
        self
    }

    /// The option is a C int: its low half decides, and both architectures are little-endian.
    fn stopping_at_marks(mut self) -> Filter {
        self.0.extend([
            jump_equal(libc::SYS_prctl as u32, 0, 3),
            load(offset_of!(seccomp_data, args)),
            jump_equal(mark::OPTION, 0, 1),
            answer(RET_TRACE | MARK),
        ]);
        self
    }

    /// The last instruction.
    fn otherwise(mut self, verdict: u32) -> Filter {
        self.0.push(answer(verdict));
        self
    }

    fn program(&self) -> sock_fprog {
        sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() }
    }

    /// Puts the filter on this process and all its descendants, for good. Async-signal-safe.
    pub fn install(&self) -> io::Result<()> {
        let program = self.program();
        let set = || {
            // SAFETY: `program` points at `len` instructions that outlive the call; the kernel
            // copies them and checks them.
            unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) }
        };
        // Root needs no "no new privileges" for a filter, and without it set-user-ID programs
        // keep working below us; everybody else gets a filter only with it.
        if set() == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EACCES) {
            return Err(error);
        }
        // SAFETY: PR_SET_NO_NEW_PRIVS takes plain numbers.
        let promised = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        if promised == 0 && set() == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Puts the filter on the calling thread and those that it starts from now on; where its calls are told.
    pub fn install_listening(&self) -> io::Result<OwnedFd> {
        // SAFETY: PR_SET_NO_NEW_PRIVS takes plain numbers.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let program = self.program();
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        // SAFETY: `program` points at `len` instructions that outlive the call; the kernel copies
        // them and checks them.
        let listener = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        };
        if listener < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that the kernel has just made for us.
        Ok(unsafe { OwnedFd::from_raw_fd(listener as i32) })
    }
}

fn load(offset: usize) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset as u32, 0, 0)
}

fn jump_equal(value: u32, then: u8, otherwise: u8) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, then, otherwise)
}

fn answer(verdict: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, verdict, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do with the program, for the four instructions it is made of.
    fn verdict(filter: &Filter, arch: u32, number: u32, first_argument: u32) -> u32 {
        let (mut accumulator, mut at) = (0, 0);
        loop {
            let step = filter.0[at];
            at += 1;
            match u32::from(step.code) & 0x07 {
                libc::BPF_LD if step.k == offset_of!(seccomp_data, arch) as u32 => accumulator = arch,
                libc::BPF_LD if step.k == offset_of!(seccomp_data, nr) as u32 => accumulator = number,
                libc::BPF_LD if step.k == offset_of!(seccomp_data, args) as u32 => {
                    accumulator = first_argument
                }
                libc::BPF_JMP => at += usize::from(if accumulator == step.k { step.jt } else { step.jf }),
                libc::BPF_RET => return step.k,
                other => panic!("no such instruction here: {other}"),
            }
        }
    }

    #[test]
    fn only_memory_calls_stop() {
        let filter = Filter::memory_calls();
        for call in Syscall::MEMORY {
            assert_eq!(verdict(&filter, AUDIT_ARCH, call.number() as u32, 0), RET_TRACE | CALL);
        }
        for call in [libc::SYS_read, libc::SYS_prctl, libc::SYS_execve, libc::SYS_msync] {
            assert_eq!(verdict(&filter, AUDIT_ARCH, call as u32, mark::OPTION), RET_ALLOW);
        }
    }

    #[test]
    fn a_mark_stops_and_any_other_prctl_does_not() {
        let filter = Filter::memory_calls_and_marks();
        let prctl = libc::SYS_prctl as u32;
        assert_eq!(verdict(&filter, AUDIT_ARCH, prctl, mark::OPTION), RET_TRACE | MARK);
        assert_eq!(verdict(&filter, AUDIT_ARCH, prctl, libc::PR_SET_NAME as u32), RET_ALLOW);
        assert_eq!(verdict(&filter, AUDIT_ARCH, Syscall::Brk.number() as u32, 0), RET_TRACE | CALL);
    }

    #[test]
    fn a_write_stops_where_it_goes_to_the_one_descriptor() {
        let filter = Filter::memory_calls_and_writes_to(700);
        let write = Syscall::Write.number() as u32;
        assert_eq!(verdict(&filter, AUDIT_ARCH, write, 700), RET_TRACE | CALL);
        assert_eq!(verdict(&filter, AUDIT_ARCH, write, 1), RET_ALLOW);
        assert_eq!(verdict(&filter, AUDIT_ARCH, libc::SYS_read as u32, 700), RET_ALLOW);
        assert_eq!(verdict(&filter, AUDIT_ARCH, Syscall::Mmap.number() as u32, 0), RET_TRACE | CALL);
    }

    #[test]
    fn every_call_stops_and_a_mark_is_told_from_them() {
        let filter = Filter::every_call_and_marks();
        let prctl = libc::SYS_prctl as u32;
        assert_eq!(verdict(&filter, AUDIT_ARCH, prctl, mark::OPTION), RET_TRACE | MARK);
        for call in [prctl, libc::SYS_read as u32, libc::SYS_brk as u32] {
            assert_eq!(verdict(&filter, AUDIT_ARCH, call, 0), RET_TRACE | CALL);
        }
    }

    #[test]
    fn a_refused_call_fails_and_the_others_do_not() {
        let filter = Filter::refuse(Syscall::Brk, libc::EPERM);
        let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
        assert_eq!(verdict(&filter, AUDIT_ARCH, libc::SYS_brk as u32, 0), refused);
        assert_eq!(verdict(&filter, AUDIT_ARCH, libc::SYS_mmap as u32, 0), RET_ALLOW);
    }

    #[test]
    fn another_architecture_runs_unwatched() {
        let filter = Filter::memory_calls_and_marks();
        assert_eq!(verdict(&filter, 0x4000_0003, Syscall::Mmap.number() as u32, 0), RET_ALLOW);
    }
}
