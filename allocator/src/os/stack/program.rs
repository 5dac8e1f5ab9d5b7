//! The programs of unwind tables: each instruction says how a register's place changes from some address on
//! (DWARF 5, 6.4.2). Only the three registers are followed that lead from frame to frame.
#![forbid(unsafe_code)]

use super::rule::{Base, Saved};
use super::tables::{Bytes, Scale};
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

/// Runs a program from its function's first address to the one `to` bytes behind it. None where it does what
/// no compiler was seen to do.
pub fn run(program: &mut Bytes, scale: &Scale, first: Registers, to: usize) -> Option<Registers> {
    let (mut now, mut at) = (first, 0u64);
    let (mut aside, mut depth) = (Checked([first; DEPTH]), 0);
    while !program.is_empty() {
        let word = program.u8()?;
        let low = (word & 0x3f) as u64;
        let mut advance = |by: u64| {
            at = at.saturating_add(by.saturating_mul(scale.code));
            at > to as u64
        };
        let scaled = |number: i64| i32::try_from(number.checked_mul(scale.data)?).ok();
        match (word >> 6, low) {
            (1, by) => {
                if advance(by) {
                    break;
                }
            }
            (2, register) => {
                let offset = scaled(program.unsigned()?.try_into().ok()?)?;
                now.set(register, Saved::At(offset));
            }
            (3, register) => now.restore(register, &first),
            // DW_CFA_nop.
            (_, 0x00) => {}
            // DW_CFA_advance_loc1, 2, 4.
            (_, 0x02) => {
                if advance(program.u8()? as u64) {
                    break;
                }
            }
            (_, 0x03) => {
                if advance(program.u16()? as u64) {
                    break;
                }
            }
            (_, 0x04) => {
                if advance(program.u32()? as u64) {
                    break;
                }
            }
            // DW_CFA_offset_extended, and with a sign.
            (_, 0x05) => {
                let (register, offset) = (program.unsigned()?, program.unsigned()?.try_into().ok()?);
                now.set(register, Saved::At(scaled(offset)?));
            }
            (_, 0x11) => {
                let (register, offset) = (program.unsigned()?, program.signed()?);
                now.set(register, Saved::At(scaled(offset)?));
            }
            // DW_CFA_restore_extended, _undefined, _same_value.
            (_, 0x06) => now.restore(program.unsigned()?, &first),
            (_, 0x07) => now.set(program.unsigned()?, Saved::Lost),
            (_, 0x08) => now.set(program.unsigned()?, Saved::Same),
            // DW_CFA_register; the values of DW_CFA_val_offset, and with a sign: in no place of memory.
            (_, 0x09 | 0x14) => {
                let (register, _) = (program.unsigned()?, program.unsigned()?);
                now.set(register, Saved::Lost);
            }
            (_, 0x15) => {
                let (register, _) = (program.unsigned()?, program.signed()?);
                now.set(register, Saved::Lost);
            }
            // DW_CFA_remember_state, _restore_state.
            (_, 0x0a) => {
                if depth == DEPTH {
                    return None;
                }
                aside[depth] = now;
                depth += 1;
            }
            (_, 0x0b) => {
                depth = depth.checked_sub(1)?;
                now = aside[depth];
            }
            // DW_CFA_def_cfa, and with a sign.
            (_, 0x0c) => {
                let (register, offset) = (program.unsigned()?, program.unsigned()?);
                now.offset = offset.try_into().ok()?;
                if !now.count_from(register) {
                    return None;
                }
            }
            (_, 0x12) => {
                let (register, offset) = (program.unsigned()?, program.signed()?);
                now.offset = scaled(offset)?;
                if !now.count_from(register) {
                    return None;
                }
            }
            // DW_CFA_def_cfa_register, _offset, and that with a sign.
            (_, 0x0d) => {
                if !now.count_from(program.unsigned()?) {
                    return None;
                }
            }
            (_, 0x0e) => now.offset = program.unsigned()?.try_into().ok()?,
            (_, 0x13) => now.offset = scaled(program.signed()?)?,
            // DW_CFA_def_cfa_expression.
            (_, 0x0f) => {
                let len = program.unsigned()?;
                now.offset = at_fp(&mut program.part(len as usize)?)?;
                now.base = Base::AtFp;
            }
            // DW_CFA_expression, DW_CFA_val_expression.
            (_, 0x10) => {
                let (register, len) = (program.unsigned()?, program.unsigned()?);
                let place = from_fp(&mut program.part(len as usize)?);
                let counts = now.base == Base::AtFp && register == FP;
                now.set(register, place.filter(|_| counts).map_or(Saved::Lost, Saved::At));
            }
            (_, 0x16) => {
                let (register, len) = (program.unsigned()?, program.unsigned()?);
                program.part(len as usize)?;
                now.set(register, Saved::Lost);
            }
            // aarch64's DW_CFA_AARCH64_negate_ra_state: a signature, which is masked anyway.
            (_, 0x2d) => {}
            // DW_CFA_GNU_args_size.
            (_, 0x2e) => _ = program.unsigned()?,
            _ => return None,
        }
    }
    Some(now)
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
