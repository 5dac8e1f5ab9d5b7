//! Who is looked at: a process, or a command that might become one.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use brkmap_base::error::{Error, Result};

use super::finding::{Finding, note};

pub struct Patient {
    /// The program's file, as it is named in the program's own root.
    pub program: PathBuf,
    pub environment: Vec<(OsString, OsString)>,
    pub pid: Option<i32>,
    /// It has more rights than whoever starts it, and the loader trusts no environment.
    pub secure: bool,
    pub notes: Vec<Finding>,
}

/// A process's vector of the kernel's says so (getauxval(3)).
const AT_SECURE: u64 = 23;
/// How many interpreters an interpreter may have; the kernel's own bound.
const SCRIPTS: usize = 4;

impl Patient {
    pub fn process(pid: i32) -> Result<Patient> {
        let of = |what: &str| PathBuf::from(format!("/proc/{pid}/{what}"));
        if !of("").is_dir() {
            return Err(Error::Usage(format!("there is no process {pid}")));
        }
        let refused = |error| {
            let why = "it takes its user, or root, to look at it";
            Error::Failed(format!("process {pid}: {error}; {why}"))
        };
        let program = std::fs::read_link(of("exe")).map_err(refused)?;
        let environment = std::fs::read(of("environ")).map_err(refused)?;
        let vector = std::fs::read(of("auxv")).map_err(refused)?;
        let words: Vec<u64> = vector.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
        let secure = words.as_chunks().0.iter().any(|[key, value]| (*key, *value) == (AT_SECURE, 1));
        Ok(Patient { program, environment: pairs(&environment), pid: Some(pid), secure, notes: Vec::new() })
    }

    pub fn command(words: &[OsString]) -> Result<Patient> {
        let name = words.first().expect("clap asks for one");
        let mut program = found(name)?;
        let mut notes = Vec::new();
        for _ in 0..SCRIPTS {
            let Some(interpreter) = interpreter(&program) else { break };
            let text =
                format!("{} is a script: what counts is {}.", program.display(), interpreter.display());
            notes.push(note("script", text, ""));
            program = found(interpreter.as_os_str())?;
        }
        let secure = raises_rights(&program);
        let environment = std::env::vars_os().collect();
        Ok(Patient { program, environment, pid: None, secure, notes })
    }

    /// The program's file, from here.
    pub fn file(&self) -> PathBuf {
        self.pid.map_or_else(|| self.program.clone(), |pid| format!("/proc/{pid}/exe").into())
    }

    /// A file that the program names, from here: it may have another root and another current folder.
    pub fn seen(&self, path: &Path) -> PathBuf {
        let Some(pid) = self.pid else { return path.to_owned() };
        match path.strip_prefix("/") {
            Ok(below) => Path::new(&format!("/proc/{pid}/root")).join(below),
            Err(_) => Path::new(&format!("/proc/{pid}/cwd")).join(path),
        }
    }

    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
    }

    pub fn shown(&self) -> String {
        let program = self.program.display();
        self.pid.map_or_else(|| program.to_string(), |pid| format!("process {pid} ({program})"))
    }
}

/// `NAME=value`, each ended by a zero byte.
fn pairs(text: &[u8]) -> Vec<(OsString, OsString)> {
    let entries = text.split(|byte| *byte == 0).filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        Some((OsString::from_vec(entry[..at].to_vec()), OsString::from_vec(entry[at + 1..].to_vec())))
    });
    entries.collect()
}

/// The program that a shell would run by this name.
fn found(name: &OsStr) -> Result<PathBuf> {
    let runs = |path: &Path| path.metadata().is_ok_and(|data| data.is_file() && data.mode() & 0o111 != 0);
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return match path.metadata() {
            Err(error) => Err(Error::Missing(format!("{}: {error}", path.display()))),
            Ok(_) if !runs(&path) => Err(Error::NotRunnable(format!("{} cannot be run", path.display()))),
            Ok(_) => Ok(path),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places
        .find(|path| runs(path))
        .ok_or_else(|| Error::Missing(format!("there is no command {}", name.display())))
}

/// What the first line of a script names. By `env` it is what that is given.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut line = String::new();
    let file = std::fs::File::open(script).ok()?;
    BufReader::new(file.take(256)).read_line(&mut line).ok()?;
    let mut words = line.strip_prefix("#!")?.split_whitespace();
    let first = PathBuf::from(words.next()?);
    if !first.ends_with("env") {
        return Some(first);
    }
    words.find(|word| !word.starts_with('-') && !word.contains('=')).map(PathBuf::from)
}

/// Whether the kernel gives it another user, another group or capabilities when this user starts it.
fn raises_rights(program: &Path) -> bool {
    let Ok(data) = program.metadata() else { return false };
    let mode = data.permissions().mode();
    let user = nix::unistd::Uid::current();
    let user_changes = mode & 0o4000 != 0 && data.uid() != user.as_raw();
    let group_changes = mode & 0o2010 == 0o2010 && data.gid() != nix::unistd::Gid::current().as_raw();
    user_changes || group_changes || !user.is_root() && has_capabilities(program)
}

fn has_capabilities(program: &Path) -> bool {
    let Ok(path) = std::ffi::CString::new(program.as_os_str().as_bytes()) else { return false };
    // SAFETY: two C strings, and no buffer: only the length is asked for.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), std::ptr::null_mut(), 0) };
    length > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_read() {
        let read = pairs(b"A=1\0B=x=y\0broken\0C=\0");
        let shown: Vec<_> = read.iter().map(|(name, value)| (name.to_str(), value.to_str())).collect();
        assert_eq!(shown, [(Some("A"), Some("1")), (Some("B"), Some("x=y")), (Some("C"), Some(""))]);
    }

    #[test]
    fn this_process_is_found() {
        let own = Patient::process(std::process::id().cast_signed()).unwrap();
        assert!(!own.secure && own.program == std::env::current_exe().unwrap());
        assert_eq!(own.seen(Path::new("/a")), PathBuf::from(format!("/proc/{}/root/a", std::process::id())));
    }
}
