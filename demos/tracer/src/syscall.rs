//! The system calls, by number and by name.

use std::fmt;

use libc::c_long;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Syscall {
    Brk,
    Mmap,
    Munmap,
    Mremap,
    Madvise,
    Mprotect,
    Msync,
    Read,
    Write,
    Pread,
    Pwrite,
    Lseek,
    Fsync,
    Fdatasync,
    Futex,
    MqSend,
    MqReceive,
    /// One that has no name here, by its number.
    Other(c_long),
}

const NAMED: [(Syscall, c_long, &str); 17] = [
    (Syscall::Brk, libc::SYS_brk, "brk"),
    (Syscall::Mmap, libc::SYS_mmap, "mmap"),
    (Syscall::Munmap, libc::SYS_munmap, "munmap"),
    (Syscall::Mremap, libc::SYS_mremap, "mremap"),
    (Syscall::Madvise, libc::SYS_madvise, "madvise"),
    (Syscall::Mprotect, libc::SYS_mprotect, "mprotect"),
    (Syscall::Msync, libc::SYS_msync, "msync"),
    (Syscall::Read, libc::SYS_read, "read"),
    (Syscall::Write, libc::SYS_write, "write"),
    (Syscall::Pread, libc::SYS_pread64, "pread"),
    (Syscall::Pwrite, libc::SYS_pwrite64, "pwrite"),
    (Syscall::Lseek, libc::SYS_lseek, "lseek"),
    (Syscall::Fsync, libc::SYS_fsync, "fsync"),
    (Syscall::Fdatasync, libc::SYS_fdatasync, "fdatasync"),
    (Syscall::Futex, libc::SYS_futex, "futex"),
    (Syscall::MqSend, libc::SYS_mq_timedsend, "mq_send"),
    (Syscall::MqReceive, libc::SYS_mq_timedreceive, "mq_receive"),
];

impl Syscall {
    /// By which a program gets, moves, advises on and gives back memory.
    pub const MEMORY: [Syscall; 6] =
        [Syscall::Brk, Syscall::Mmap, Syscall::Munmap, Syscall::Mremap, Syscall::Madvise, Syscall::Mprotect];

    /// Whose result is a number of bytes copied between user space and the kernel.
    pub const COPYING: [Syscall; 5] =
        [Syscall::Read, Syscall::Write, Syscall::Pread, Syscall::Pwrite, Syscall::MqReceive];

    pub fn number(self) -> c_long {
        if let Syscall::Other(number) = self {
            return number;
        }
        NAMED.iter().find(|(call, ..)| *call == self).expect("each has a row").1
    }

    pub fn from_number(number: c_long) -> Syscall {
        NAMED.iter().find(|(_, known, _)| *known == number).map_or(Syscall::Other(number), |(call, ..)| *call)
    }

    /// None of a call that has no name here.
    pub fn name(self) -> Option<&'static str> {
        NAMED.iter().find(|(call, ..)| *call == self).map(|(.., name)| *name)
    }

    pub fn named(name: &str) -> Option<Syscall> {
        NAMED.iter().find(|(.., known)| *known == name).map(|(call, ..)| *call)
    }
}

impl fmt::Display for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "call {}", self.number()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_found_by_its_number_and_the_others_keep_theirs() {
        for (syscall, number, name) in NAMED {
            assert_eq!((Syscall::from_number(number), syscall.number()), (syscall, number));
            assert_eq!((syscall.to_string().as_str(), Syscall::named(name)), (name, Some(syscall)));
        }
        let other = Syscall::from_number(libc::SYS_getpid);
        assert_eq!((other, other.number()), (Syscall::Other(libc::SYS_getpid), libc::SYS_getpid));
        assert_eq!(other.to_string(), format!("call {}", libc::SYS_getpid));
        assert_eq!((other.name(), Syscall::named("getpid")), (None, None));
    }
}
