//! The symbols of a mapped object: its dynamic table, searched by name as the loader does (elf(5), and for
//! the hash of GNU the loader's own sources: it is described nowhere else).

use core::ffi::{CStr, c_char, c_void};
use core::ptr::NonNull;

/// A symbol (elf.h).
#[repr(C)]
pub struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    size: usize,
}

const STT_GNU_IFUNC: u8 = 10;

/// Lists of the symbols by hash: the heads, and what comes after them.
pub enum Hash {
    /// Counts of heads and of symbols; the heads; the next of each symbol.
    Old(*const u32),
    /// Counts of heads, of symbols that are in no list, and of filter words, and a shift; the filter, 64 bits
    /// each; the heads; from the first symbol in a list on, the hash of each, the lowest bit set at the end
    /// of a list.
    Gnu(*const u32),
}

/// An object's table.
pub struct Symbols {
    /// What is added to the addresses in the object's file.
    bias: usize,
    table: *const Symbol,
    strings: *const c_char,
    hash: Hash,
}

impl Symbols {
    /// # Safety
    /// This is what a mapped object's dynamic section says of its table, and it stays mapped.
    pub unsafe fn at(bias: usize, table: *const Symbol, strings: *const c_char, hash: Hash) -> Symbols {
        Symbols { bias, table, strings, hash }
    }

    /// Whether the object defines a name.
    pub fn define(&self, name: &CStr) -> bool {
        self.definition(name).is_some()
    }

    /// Where the object has the function that it defines by a name. None too where it is chosen by another
    /// one.
    pub fn function(&self, name: &CStr) -> Option<NonNull<c_void>> {
        let symbol = self.definition(name).filter(|symbol| symbol.info & 0xf != STT_GNU_IFUNC)?;
        NonNull::new((self.bias + symbol.value) as *mut c_void)
    }

    fn definition(&self, name: &CStr) -> Option<&Symbol> {
        // SAFETY: the table's own hash.
        unsafe {
            match self.hash {
                Hash::Old(words) => self.search_old(words, name),
                Hash::Gnu(words) => self.search_gnu(words, name),
            }
        }
    }

    /// # Safety
    /// The words are the table's old hash.
    unsafe fn search_old(&self, words: *const u32, name: &CStr) -> Option<&Symbol> {
        let hash = name.to_bytes().iter().fold(0u32, |hash, &byte| {
            let sum = (hash << 4).wrapping_add(byte as u32);
            let high = sum & 0xf000_0000;
            (sum ^ (high >> 24)) & !high
        });
        // SAFETY: the heads lie behind the two counts, the others behind the heads, and lists end with 0.
        unsafe {
            let heads = *words;
            let head = hash.checked_rem(heads)?;
            let (mut at, next) = (*words.add(2 + head as usize), words.add(2 + heads as usize));
            while at != 0 {
                if let Some(symbol) = self.defining(at, name) {
                    return Some(symbol);
                }
                at = *next.add(at as usize);
            }
        }
        None
    }

    /// # Safety
    /// The words are the table's GNU hash.
    unsafe fn search_gnu(&self, words: *const u32, name: &CStr) -> Option<&Symbol> {
        let bytes = name.to_bytes().iter();
        let hash = bytes.fold(5381u32, |hash, &byte| hash.wrapping_mul(33).wrapping_add(byte as u32));
        // SAFETY: four words, the filter, the heads and the hashes, one behind the other as the words say.
        unsafe {
            let (heads, unlisted, filter) = (*words, *words.add(1), *words.add(2));
            let head = hash.checked_rem(heads)?;
            let heads_at = words.add(4 + 2 * filter as usize);
            let hashes = heads_at.add(heads as usize);
            let mut at = *heads_at.add(head as usize);
            while at >= unlisted {
                let found = *hashes.add((at - unlisted) as usize);
                let symbol = if found | 1 == hash | 1 { self.defining(at, name) } else { None };
                if symbol.is_some() {
                    return symbol;
                }
                if found & 1 != 0 {
                    break;
                }
                at += 1;
            }
        }
        None
    }

    /// A symbol, if it defines the name. Where a program only takes a function's address, its symbol has one
    /// too, that of the program's own jump to the function, but is of no section: no definition.
    ///
    /// # Safety
    /// The table has a symbol of this index.
    unsafe fn defining(&self, at: u32, name: &CStr) -> Option<&Symbol> {
        // SAFETY: as the caller vouches; its name is a string of the table's strings.
        unsafe {
            let symbol = &*self.table.add(at as usize);
            let defines = symbol.section != 0
                && symbol.value != 0
                && CStr::from_ptr(self.strings.add(symbol.name as usize)) == name;
            defines.then_some(symbol)
        }
    }
}
