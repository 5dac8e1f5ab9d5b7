//! The calling thread's stack, followed without a lock and without memory: for samples of the heap profile.
//!
//! ```text
//!   pc ─► object ─► its unwind table ─► rule: where the caller's frame begins, where its registers are
//!          (loader)   (.eh_frame_hdr)     └─ kept by pc in `cache`
//!   no table: a frame pointer, if what it points at looks like one
//! ```
//!
//! Tables first: they are exact wherever they are, and cost as much as a frame pointer once a rule is kept.
//! Nothing is believed: what a rule leads to is read only where the kernel says that it can be (`memory`).
#![allow(unsafe_code)]

mod bytes;
mod cache;
mod memory;
mod objects;
mod program;
mod rule;
mod tables;

use crate::base::units::is_multiple;
use crate::os::{Os, executable};
use memory::Memory;
use objects::Object;
use rule::{Base, Rule, Saved};

/// To be called before the first sample, with no lock held: where the loader does not answer while a sample
/// is taken, it is asked now.
pub fn prepare() {
    if cfg!(any(feature = "profile", test)) {
        objects::prepare();
    }
}

/// Before the first sample: makes room for what is kept of the tables. Calls nobody but the kernel.
pub fn make_room<O: Os>(os: &O) {
    if cfg!(any(feature = "profile", test)) {
        cache::make_room(os);
    }
}

/// Gives that room back, for a library that is unloaded.
///
/// # Safety
/// No thread follows its stack, or will.
pub unsafe fn unload<O: Os>(os: &O) {
    if cfg!(any(feature = "profile", test)) {
        // SAFETY: as the caller vouches.
        unsafe { cache::unload(os) };
    }
}

/// Writes the return addresses of the calling thread's stack, the innermost first. Those in the library that
/// this is linked into are left out, but in an executable. How many they are.
#[inline(never)]
pub fn walk(into: &mut [usize]) -> usize {
    if !cfg!(any(feature = "profile", test)) {
        return 0;
    }
    let Some(mut frame) = Frame::here() else { return 0 };
    let mut object = Object::of(frame.pc);
    let own = object.filter(|_| !executable::contains(frame.pc));
    let mut memory = Memory::around(frame.sp);
    let mut count = 0;
    // The caller's, from the second on: an address behind a call.
    let mut looked_up = frame.pc;
    let (mut outside, mut steps) = (own.is_none(), 0);
    while count < into.len() && steps < 2 * into.len() {
        steps += 1;
        let Some((caller, at)) = frame.caller(looked_up, &mut object, &mut memory) else { break };
        (frame, looked_up) = (caller, at);
        outside = outside || own.is_none_or(|own| !own.contains(at));
        if let Some(place) = into.get_mut(count).filter(|_| outside) {
            *place = frame.pc;
            count += 1;
        }
    }
    count
}

/// What is known of a frame: the next instruction, and two registers; and the one for a return address, which
/// only the innermost may have there.
#[derive(Clone, Copy)]
struct Frame {
    pc: usize,
    sp: usize,
    fp: usize,
    link: usize,
}

impl Frame {
    /// The calling function's own.
    #[inline(always)]
    fn here() -> Option<Frame> {
        let (pc, sp, fp, link);
        // SAFETY: reads registers.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        unsafe {
            core::arch::asm!(
                "lea {pc}, [rip]",
                "mov {sp}, rsp",
                "mov {fp}, rbp",
                pc = out(reg) pc, sp = out(reg) sp, fp = out(reg) fp,
                options(nostack, nomem, preserves_flags),
            );
            link = 0;
        }
        // SAFETY: reads registers.
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        unsafe {
            core::arch::asm!(
                "adr {pc}, .",
                "mov {sp}, sp",
                "mov {fp}, x29",
                "mov {link}, x30",
                pc = out(reg) pc, sp = out(reg) sp, fp = out(reg) fp, link = out(reg) link,
                options(nostack, nomem, preserves_flags),
            );
        }
        // SAFETY: reads registers.
        #[cfg(all(target_arch = "riscv64", not(miri)))]
        unsafe {
            core::arch::asm!(
                "auipc {pc}, 0",
                "mv {sp}, sp",
                "mv {fp}, s0",
                "mv {link}, ra",
                pc = out(reg) pc, sp = out(reg) sp, fp = out(reg) fp, link = out(reg) link,
                options(nostack, nomem, preserves_flags),
            );
        }
        #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))))]
        {
            (pc, sp, fp, link) = (0, 0, 0, 0);
        }
        (pc != 0).then_some(Frame { pc, sp, fp, link })
    }

    /// The caller's frame, and the address that its rule is found by. None where the stack ends, or cannot be
    /// followed. The object is the one before's, in which most frames are too: none goes while a frame of it
    /// is on the stack.
    fn caller(
        &self,
        looked_up: usize,
        object: &mut Option<Object>,
        memory: &mut Memory,
    ) -> Option<(Frame, usize)> {
        if !object.is_some_and(|object| object.contains(looked_up)) {
            *object = Object::of(looked_up);
        }
        let caller = match object.and_then(|object| cache::rule(&object, looked_up)) {
            Some(Rule { base: Base::Signal, .. }) => return self.interrupted(memory),
            Some(rule) => self.by_rule(&rule, memory)?,
            None => self.by_pointer(memory)?,
        };
        // Each frame lies above the one that it called.
        let ends = caller.pc < 2 || caller.sp <= self.sp;
        (!ends).then_some((caller, caller.pc - 1))
    }

    fn by_rule(&self, rule: &Rule, memory: &mut Memory) -> Option<Frame> {
        let plus = |at: usize, by: i32| at.wrapping_add_signed(by as isize);
        let (cfa, from) = match rule.base {
            Base::Sp => (plus(self.sp, rule.offset), None),
            Base::Fp => (plus(self.fp, rule.offset), None),
            Base::AtFp => (memory.word(plus(self.fp, rule.offset))?, Some(self.fp)),
            Base::Signal | Base::End => return None,
        };
        let mut saved = |register, kept, from| match register {
            Saved::Same => Some(kept),
            Saved::At(offset) => memory.word(plus(from, offset)),
            Saved::Lost => None,
        };
        let fp = saved(rule.fp, self.fp, from.unwrap_or(cfa)).unwrap_or(0);
        let pc = plain(saved(rule.ra, self.link, cfa)?);
        Some(Frame { pc, sp: cfa, fp, link: 0 })
    }

    /// By a frame pointer, where there is no table: code that was made at run time, mostly.
    fn by_pointer(&self, memory: &mut Memory) -> Option<Frame> {
        // From the frame pointer: the caller's, its return address, the end of the frame.
        let [fp_at, ra_at, end]: [isize; 3] =
            if cfg!(target_arch = "riscv64") { [-16, -8, 0] } else { [0, 8, 16] };
        let at = |offset: isize| self.fp.wrapping_add_signed(offset);
        if self.fp <= self.sp || !is_multiple(self.fp, 8) {
            return None;
        }
        let (fp, pc) = (memory.word(at(fp_at))?, plain(memory.word(at(ra_at))?));
        Some(Frame { pc, sp: at(end), fp, link: 0 })
    }

    /// The frame that a signal interrupted: the kernel wrote its registers on the handler's stack.
    fn interrupted(&self, memory: &mut Memory) -> Option<(Frame, usize)> {
        if !cfg!(target_arch = "x86_64") {
            return None;
        }
        // In ucontext_t, behind uc_flags, uc_link and uc_stack: RBP, RSP, RIP of its registers.
        let [fp, sp, pc] = [120, 160, 168].map(|offset| memory.word(self.sp.wrapping_add(offset)));
        let frame = Frame { pc: pc?, sp: sp?, fp: fp?, link: 0 };
        Some((frame, frame.pc))
    }
}

/// A return address without the signature that aarch64 may have put into its upper bits.
fn plain(pc: usize) -> usize {
    if cfg!(target_arch = "aarch64") { pc & ((1 << 48) - 1) } else { pc }
}

#[cfg(all(test, not(miri)))]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod tests {
    use super::*;
    use crate::os::linux::Linux;

    #[inline(never)]
    fn deep(levels: usize, into: &mut [usize]) -> usize {
        if levels == 0 {
            return core::hint::black_box(walk(into));
        }
        let count = deep(core::hint::black_box(levels) - 1, into);
        core::hint::black_box(count)
    }

    #[test]
    fn a_recursion_is_followed_to_the_end_of_the_thread() {
        prepare();
        make_room(&Linux::new());
        let mut into = [0; 64];
        let in_thread = std::thread::spawn(|| deep(10, &mut [0; 64]));
        let count = in_thread.join().expect("a thread");
        assert!(count > 12 && count < 40, "{count} frames");
        let count = deep(10, &mut into);
        // Ten return addresses into the same function, one behind the other.
        let inside =
            |pc: &&usize| (deep as *const () as usize..deep as *const () as usize + 4096).contains(pc);
        let run = into[..count].iter().skip_while(|pc| !inside(pc)).take_while(inside).count();
        assert!(run >= 10, "{run} of {count}: {into:x?}");
        let mut again = [0; 64];
        assert_eq!(deep(10, &mut again), count, "by the kept rules");
    }

    #[test]
    fn a_short_array_is_filled_and_no_more() {
        prepare();
        let mut into = [0; 3];
        assert_eq!(deep(10, &mut into), 3);
        assert_eq!(walk(&mut []), 0);
    }
}
