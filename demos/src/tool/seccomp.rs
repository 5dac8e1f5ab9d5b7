//! The filter that lets only the watched calls stop the traced program.
//!
//! Without it a tracer stops the program twice for every call it makes; with it a program that
//! reads a million times and maps once is stopped for the mapping.

use std::io;
use std::mem::offset_of;

use libc::{c_long, seccomp_data, sock_filter, sock_fprog};

use super::marker;
use super::syscall::Syscall;

/// What the filter hands to the tracer with a stop.
pub const MEMORY_CALL: u32 = 1;
pub const MARKER: u32 = 2;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

const RET_ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const RET_TRACE: u32 = libc::SECCOMP_RET_TRACE;

/// A seccomp program, built before the fork: the child may not allocate between fork and exec.
pub struct Filter(Vec<sock_filter>);

impl Filter {
    /// Stops the memory calls and, for a probe, its markers.
    pub fn memory_calls(markers: bool) -> Filter {
        let mut code = native_only();
        code.push(load(offset_of!(seccomp_data, nr)));
        for call in Syscall::ALL {
            code.extend(if_equal(call.number() as u32, RET_TRACE | MEMORY_CALL));
        }
        if markers {
            // The option is a C int: its low half decides, and both architectures are little-endian.
            code.extend([
                jump_equal(libc::SYS_prctl as u32, 0, 3),
                load(offset_of!(seccomp_data, args)),
                jump_equal(marker::MAGIC, 0, 1),
                answer(RET_TRACE | MARKER),
            ]);
        }
        code.push(answer(RET_ALLOW));
        Filter(code)
    }

    /// Makes `call` fail with `errno`: how a test shows what a container that forbids ptrace does.
    pub fn refuse(call: c_long, errno: i32) -> Filter {
        let mut code = native_only();
        code.push(load(offset_of!(seccomp_data, nr)));
        code.extend(if_equal(call as u32, libc::SECCOMP_RET_ERRNO | errno as u32));
        code.push(answer(RET_ALLOW));
        Filter(code)
    }

    /// Puts the filter on this process and all its descendants, for good. Async-signal-safe.
    pub fn install(&self) -> io::Result<()> {
        let program = sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() };
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
}

/// A 32-bit program numbers its calls differently; it runs unwatched instead of misread.
fn native_only() -> Vec<sock_filter> {
    vec![load(offset_of!(seccomp_data, arch)), jump_equal(AUDIT_ARCH, 1, 0), answer(RET_ALLOW)]
}

fn if_equal(value: u32, verdict: u32) -> [sock_filter; 2] {
    [jump_equal(value, 0, 1), answer(verdict)]
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
        let filter = Filter::memory_calls(false);
        for call in Syscall::ALL {
            assert_eq!(verdict(&filter, AUDIT_ARCH, call.number() as u32, 0), RET_TRACE | MEMORY_CALL);
        }
        for call in [libc::SYS_read, libc::SYS_prctl, libc::SYS_execve, libc::SYS_msync] {
            assert_eq!(verdict(&filter, AUDIT_ARCH, call as u32, marker::MAGIC), RET_ALLOW);
        }
    }

    #[test]
    fn a_marker_stops_and_any_other_prctl_does_not() {
        let filter = Filter::memory_calls(true);
        let prctl = libc::SYS_prctl as u32;
        assert_eq!(verdict(&filter, AUDIT_ARCH, prctl, marker::MAGIC), RET_TRACE | MARKER);
        assert_eq!(verdict(&filter, AUDIT_ARCH, prctl, libc::PR_SET_NAME as u32), RET_ALLOW);
        assert_eq!(verdict(&filter, AUDIT_ARCH, Syscall::Brk.number() as u32, 0), RET_TRACE | MEMORY_CALL);
    }

    #[test]
    fn another_architecture_runs_unwatched() {
        let filter = Filter::memory_calls(true);
        assert_eq!(verdict(&filter, 0x4000_0003, Syscall::Mmap.number() as u32, 0), RET_ALLOW);
    }
}
