//! The programs of unwind tables: each instruction says how a register's place changes from some address on
//! (DWARF 5, 6.4.2). Only the three registers are followed that lead from frame to frame.
#![forbid(unsafe_code)]

use super::bytes::{Bytes, Scale};
use super::rule::{Base, Saved};
use crate::base::checked::Checked;

/// DWARF's numbers of the stack pointer, the frame pointer and the return address, from each architecture's
/// ABI.
const SP: u64 = NUMBERS[0];
const FP: u64 = NUMBERS[1];
const RA: u64 = NUMBERS[2];
const NUMBERS: [u64; 3] = if cfg!(target_arch = "aarch64") {
    [31, 29, 30]
} else if cfg!(target_arch = "riscv64") {
    [2, 8, 1]
} else {
    [7, 6, 16]
};

/// Where the registers are at some address of a function.
#[derive(Clone, Copy)]
pub struct Registers {
    pub base: Base,
    pub offset: i32,
    pub fp: Saved,
    pub ra: Saved,
}

impl Registers {
    pub fn unknown() -> Self {
        Registers { base: Base::End, offset: 0, fp: Saved::Same, ra: Saved::Same }
    }

    fn set(&mut self, register: u64, saved: Saved) {
        match register {
            FP => self.fp = saved,
            RA => self.ra = saved,
            _ => {}
        }
    }

    fn restore(&mut self, register: u64, first: &Registers) {
        match register {
            FP => self.fp = first.fp,
            RA => self.ra = first.ra,
            _ => {}
        }
    }

    /// False for a register that is not followed.
    fn count_from(&mut self, register: u64) -> bool {
        self.base = match register {
            SP => Base::Sp,
            FP => Base::Fp,
            _ => return false,
        };
        true
    }
}

/// States that a program may put aside at once: compilers use one.
const DEPTH: usize = 4;

/// A program that is run.
struct Machine<'a> {
    now: Registers,
    /// What held at its function's first address.
    first: Registers,
    /// Bytes from there on, and where to stop.
    at: u64,
    to: u64,
    scale: &'a Scale,
    aside: Checked<Registers, DEPTH>,
    depth: usize,
}

#[derive(PartialEq)]
enum Step {
    Goes,
    /// What comes next is of addresses behind the one that is asked for.
    Ends,
}

/// Runs a program from its function's first address to the one `to` bytes behind it. None where it does what
/// no compiler was seen to do.
pub fn run(program: &mut Bytes, scale: &Scale, first: Registers, to: usize) -> Option<Registers> {
    let aside = Checked([first; DEPTH]);
    let mut machine = Machine { now: first, first, at: 0, to: to as u64, scale, aside, depth: 0 };
    while !program.is_empty() {
        if machine.step(program)? == Step::Ends {
            break;
        }
    }
    Some(machine.now)
}

impl Machine<'_> {
    fn step(&mut self, program: &mut Bytes) -> Option<Step> {
        let word = program.u8()?;
        let low = (word & 0x3f) as u64;
        match (word >> 6, low) {
            (1, by) => return Some(self.advance(by)),
            (2, register) => {
                let offset = self.scaled(program.unsigned()?.try_into().ok()?)?;
                self.now.set(register, Saved::At(offset));
            }
            (3, register) => self.now.restore(register, &self.first),
            // DW_CFA_nop; aarch64's DW_CFA_AARCH64_negate_ra_state: a signature, which is masked anyway.
            (_, 0x00 | 0x2d) => {}
            // DW_CFA_advance_loc1, 2, 4.
            (_, 0x02) => return Some(self.advance(program.u8()? as u64)),
            (_, 0x03) => return Some(self.advance(program.u16()? as u64)),
            (_, 0x04) => return Some(self.advance(program.u32()? as u64)),
            // DW_CFA_remember_state, _restore_state.
            (_, 0x0a) => {
                if self.depth == DEPTH {
                    return None;
                }
                self.aside[self.depth] = self.now;
                self.depth += 1;
            }
            (_, 0x0b) => {
                self.depth = self.depth.checked_sub(1)?;
                self.now = self.aside[self.depth];
            }
            // DW_CFA_GNU_args_size.
            (_, 0x2e) => _ = program.unsigned()?,
            (_, 0x0c..=0x0f | 0x12 | 0x13) => self.count_anew(low, program)?,
            _ => self.save(low, program)?,
        }
        Some(Step::Goes)
    }

    fn advance(&mut self, by: u64) -> Step {
        self.at = self.at.saturating_add(by.saturating_mul(self.scale.code));
        if self.at > self.to { Step::Ends } else { Step::Goes }
    }

    fn scaled(&self, number: i64) -> Option<i32> {
        i32::try_from(number.checked_mul(self.scale.data)?).ok()
    }

    /// An instruction that says what the caller's stack pointer is counted from.
    fn count_anew(&mut self, instruction: u64, program: &mut Bytes) -> Option<()> {
        let register = match instruction {
            // DW_CFA_def_cfa, and with a sign; DW_CFA_def_cfa_register.
            0x0c | 0x0d | 0x12 => Some(program.unsigned()?),
            _ => None,
        };
        match instruction {
            // DW_CFA_def_cfa_offset, and with a sign.
            0x0c | 0x0e => self.now.offset = program.unsigned()?.try_into().ok()?,
            0x12 | 0x13 => self.now.offset = self.scaled(program.signed()?)?,
            // DW_CFA_def_cfa_expression.
            0x0f => {
                let len = program.unsigned()?;
                self.now.offset = at_fp(&mut program.part(len as usize)?)?;
                self.now.base = Base::AtFp;
            }
            _ => {}
        }
        let known = register.is_none_or(|register| self.now.count_from(register));
        known.then_some(())
    }

    /// An instruction that says where a register is.
    fn save(&mut self, instruction: u64, program: &mut Bytes) -> Option<()> {
        let register = program.unsigned()?;
        let saved = match instruction {
            // DW_CFA_offset_extended, and with a sign.
            0x05 => Saved::At(self.scaled(program.unsigned()?.try_into().ok()?)?),
            0x11 => Saved::At(self.scaled(program.signed()?)?),
            // DW_CFA_restore_extended.
            0x06 => {
                self.now.restore(register, &self.first);
                return Some(());
            }
            // DW_CFA_undefined, _same_value.
            0x07 => Saved::Lost,
            0x08 => Saved::Same,
            // DW_CFA_register; the values of DW_CFA_val_offset, and with a sign: in no place of memory.
            0x09 | 0x14 => {
                program.unsigned()?;
                Saved::Lost
            }
            0x15 => {
                program.signed()?;
                Saved::Lost
            }
            // DW_CFA_expression, DW_CFA_val_expression.
            0x10 | 0x16 => {
                let len = program.unsigned()?;
                let place = from_fp(&mut program.part(len as usize)?);
                let counts = instruction == 0x10 && self.now.base == Base::AtFp && register == FP;
                place.filter(|_| counts).map_or(Saved::Lost, Saved::At)
            }
            _ => return None,
        };
        self.now.set(register, saved);
        Some(())
    }
}

/// An expression that is an offset from the frame pointer, and no more (DW_OP_breg).
fn from_fp(expression: &mut Bytes) -> Option<i32> {
    const BREG: u8 = 0x70;
    let is_fp = expression.u8()?.checked_sub(BREG)? as u64 == FP;
    let offset = expression.signed()?.try_into().ok()?;
    (is_fp && expression.is_empty()).then_some(offset)
}

/// An expression that is the word at an offset from the frame pointer (DW_OP_breg, DW_OP_deref).
fn at_fp(expression: &mut Bytes) -> Option<i32> {
    const BREG: u8 = 0x70;
    const DEREF: u8 = 0x06;
    let is_fp = expression.u8()?.checked_sub(BREG)? as u64 == FP;
    let offset = expression.signed()?.try_into().ok()?;
    let is_deref = expression.u8()? == DEREF;
    (is_fp && is_deref && expression.is_empty()).then_some(offset)
}
