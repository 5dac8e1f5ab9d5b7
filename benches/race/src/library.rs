//! Whether a file can be preloaded here.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use brkmap_base::error::{Error, Result};

/// The start of an ELF file, up to the word that names its machine.
const HEAD: usize = 20;

/// Its full path, or what is wrong with it. The loader would only warn, and run the program without it.
pub fn preloadable(path: &Path) -> Result<PathBuf> {
    let shown = path.display();
    let full = path
        .canonicalize()
        .map_err(|error| Error::Usage(format!("the library {shown} cannot be opened: {error}")))?;
    // The loader reads LD_PRELOAD as a list.
    if full.as_os_str().as_encoded_bytes().iter().any(|byte| b" :".contains(byte)) {
        let shown = full.display();
        return Err(Error::Usage(format!("LD_PRELOAD cannot hold a path with a blank or a colon: {shown}")));
    }
    let (theirs, ours) = (kind(&full), kind(Path::new("/proc/self/exe")));
    match (theirs, ours) {
        (None, _) => Err(Error::Usage(format!("{shown} is no library: it is no ELF file"))),
        (Some(theirs), Some(ours)) if theirs != ours => Err(Error::Usage(format!(
            "the library {shown} is for {}, and this machine's programs are for {}",
            theirs.words(),
            ours.words()
        ))),
        _ => Ok(full),
    }
}

/// What has to be the same for two files to be one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    class: u8,
    order: u8,
    machine: u16,
}

impl Kind {
    /// None of what is no ELF file.
    fn of(head: &[u8; HEAD]) -> Option<Kind> {
        let machine = [head[18], head[19]];
        head.starts_with(b"\x7fELF").then(|| Kind {
            class: head[4],
            order: head[5],
            machine: if head[5] == 2 { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) },
        })
    }

    fn words(self) -> String {
        let bits = if self.class == 1 { 32 } else { 64 };
        let name = match self.machine {
            3 => "x86",
            21 => "powerpc64",
            22 => "s390x",
            40 => "arm",
            62 => "x86-64",
            183 => "aarch64",
            243 => "riscv",
            258 => "loongarch",
            other => return format!("ELF machine {other}, {bits} bits"),
        };
        format!("{name}, {bits} bits")
    }
}

fn kind(path: &Path) -> Option<Kind> {
    let mut head = [0; HEAD];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    Kind::of(&head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(path: &Path) -> String {
        let error = preloadable(path).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn a_file_of_this_machine_is_fine_and_others_are_named() {
        assert!(preloadable(Path::new("/proc/self/exe")).is_ok());
        assert!(complaint(Path::new("/no/such.so")).contains("/no/such.so"));
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        assert!(complaint(&file("text.so", b"no library, but text")).contains("no ELF file"));
        assert!(complaint(&file("short.so", b"\x7fELF")).contains("no ELF file"));
        assert!(complaint(&file("a b.so", b"x")).contains("a blank or a colon"));
        let mut head = [0; HEAD];
        std::fs::File::open("/proc/self/exe").unwrap().read_exact(&mut head).unwrap();
        (head[4], head[5], head[18], head[19]) = (1, 1, 40, 0);
        assert!(complaint(&file("arm.so", &head)).contains("for arm, 32 bits"));
    }
}
