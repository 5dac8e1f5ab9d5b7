//! What an ELF file says of itself.

use std::io;
use std::path::{Path, PathBuf};

use object::elf::FileHeader64;
use object::read::elf::{ElfFile, FileHeader, ProgramHeader};
use object::{Architecture, Endianness, Object, ObjectSymbol, ObjectSymbolTable, RelocationTarget};

/// What is asked of a program or a library here.
#[derive(Debug, Default)]
pub struct Elf {
    /// As people write it, `x86-64`.
    pub machine: String,
    /// The program that loads its libraries. None: it is linked statically, or it is a library.
    pub loader: Option<PathBuf>,
    /// It can be run, and not only be loaded.
    pub is_program: bool,
    pub is_go: bool,
    /// Others are given its malloc.
    pub defines_malloc: bool,
    /// An allocator that is inside, and that the program asks by names of its own.
    pub inside: Option<&'static str>,
    /// Where, in the file's own addresses, the loader writes the address of malloc.
    pub malloc_slots: Vec<u64>,
    /// The address of its first byte in memory, in the file's own addresses.
    pub base: u64,
}

/// Names that only an allocator brings which a program asks directly.
const INSIDE: [(&str, &str); 6] = [
    ("6brkmap4heap", "brkmap"),
    ("mi_malloc", "mimalloc"),
    ("_rjem_malloc", "jemalloc"),
    ("je_malloc", "jemalloc"),
    ("tc_malloc", "tcmalloc"),
    ("sn_rust_alloc", "snmalloc"),
];

pub fn read(path: &Path) -> io::Result<Elf> {
    let bytes = std::fs::read(path)?;
    parse(&bytes).ok_or_else(|| io::Error::other("it is no ELF file of 64 bits"))
}

fn parse(bytes: &[u8]) -> Option<Elf> {
    // Of 32 bits only the machine is of interest, and that it is another.
    if bytes.starts_with(b"\x7fELF\x01") {
        return Some(Elf { machine: "32-bit".to_owned(), ..Elf::default() });
    }
    let file = ElfFile::<FileHeader64<Endianness>>::parse(bytes).ok()?;
    let endian = file.endian();
    let mut elf = Elf { machine: machine(file.architecture()), ..Elf::default() };
    let mut first = None;
    for header in file.elf_program_headers() {
        if let Ok(Some(loader)) = header.interpreter(endian, bytes) {
            elf.loader = Some(PathBuf::from(String::from_utf8_lossy(loader).into_owned()));
        }
        if header.p_type(endian) == object::elf::PT_LOAD {
            first.get_or_insert(header.p_vaddr(endian) - header.p_offset(endian));
        }
    }
    elf.base = first.unwrap_or(0);
    let kind = file.elf_header().e_type(endian);
    elf.is_program = kind == object::elf::ET_EXEC || elf.loader.is_some() || file.entry() != 0;
    elf.is_go = [".go.buildinfo", ".note.go.buildid"].iter().any(|name| file.section_by_name(name).is_some());
    let is_malloc = |name: object::Result<&str>| name == Ok("malloc");
    elf.defines_malloc =
        file.dynamic_symbols().any(|symbol| symbol.is_definition() && is_malloc(symbol.name()));
    let named = file.symbols().filter(|symbol| symbol.is_definition());
    elf.inside = named.filter_map(|symbol| symbol.name().ok()).find_map(allocator_of);
    if let (Some(table), Some(slots)) = (file.dynamic_symbol_table(), file.dynamic_relocations()) {
        let of_malloc = slots.filter(|(_, slot)| match slot.target() {
            RelocationTarget::Symbol(at) => {
                table.symbol_by_index(at).is_ok_and(|symbol| is_malloc(symbol.name()))
            }
            _ => false,
        });
        elf.malloc_slots = of_malloc.map(|(at, _)| at).collect();
    }
    Some(elf)
}

fn allocator_of(symbol: &str) -> Option<&'static str> {
    let is = |name: &str| {
        symbol == name || name.starts_with(|c: char| c.is_ascii_digit()) && symbol.contains(name)
    };
    INSIDE.iter().find(|(name, _)| is(name)).map(|(_, allocator)| *allocator)
}

fn machine(architecture: Architecture) -> String {
    match architecture {
        Architecture::X86_64 => "x86-64".to_owned(),
        Architecture::Aarch64 => "aarch64".to_owned(),
        Architecture::Riscv64 => "riscv64".to_owned(),
        Architecture::LoongArch64 => "loongarch64".to_owned(),
        Architecture::PowerPc64 => "powerpc64".to_owned(),
        Architecture::S390x => "s390x".to_owned(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_read() {
        let elf = read(Path::new("/proc/self/exe")).unwrap();
        assert!(elf.is_program && !elf.is_go && !elf.defines_malloc, "{elf:?}");
        assert_eq!(elf.loader.is_some(), cfg!(target_env = "gnu"));
        assert!(parse(b"#!/bin/sh\n").is_none());
    }

    #[test]
    fn allocators_are_known_by_names_of_theirs() {
        assert_eq!(allocator_of("mi_malloc"), Some("mimalloc"));
        assert_eq!(allocator_of("my_mi_malloc"), None);
        assert_eq!(allocator_of("_ZN6brkmap4heap5EMPTY17h59a6424a862c4135E"), Some("brkmap"));
    }
}
