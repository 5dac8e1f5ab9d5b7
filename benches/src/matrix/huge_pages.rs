//! Transparent huge pages while the matrix runs: as the system has them, or as `--thp` says.
//!
//! | `--thp` | how | for whom |
//! | --- | --- | --- |
//! | `never` | prctl, which children inherit | this process and all it starts |
//! | `madvise`, `always` | the system's setting, unless it is that already; needs root | the whole machine, until the end |
//!
//! What was changed for the machine is put back by a shell that waits for this process's end, however that comes:
//! by return, by an interrupt, by a crash.

use std::fs::read_to_string;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use brkmap_base::error::{Error, Result};
use clap::ValueEnum;
use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

const SETTING: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Waits for its input to end, which no signal from a terminal hastens. A grandchild, so that the tracer, which
/// waits for every child of this process, does not wait for it.
const RESTORE: &str = r#"trap '' HUP INT TERM; exec 3<&0; { read -r _ <&3; printf %s "$1" > "$2"; } &"#;
/// More than it takes to write a word.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Never,
    Madvise,
    Always,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Mode::Never => "never",
            Mode::Madvise => "madvise",
            Mode::Always => "always",
        }
    }
}

/// Until it is dropped, huge pages are as they were asked for.
#[derive(Debug)]
#[must_use]
pub struct HugePages {
    setting: PathBuf,
    changed: Option<Changed>,
}

#[derive(Debug)]
struct Changed {
    before: String,
    /// Whose end the restorer waits for.
    lifeline: ChildStdin,
}

impl HugePages {
    pub fn set(mode: Option<Mode>) -> Result<HugePages> {
        HugePages::set_in(Path::new(SETTING), mode)
    }

    fn set_in(setting: &Path, mode: Option<Mode>) -> Result<HugePages> {
        let mut huge_pages = HugePages { setting: setting.into(), changed: None };
        let Some(mode) = mode else { return Ok(huge_pages) };
        prctl(mode == Mode::Never)?;
        if mode == Mode::Never {
            return Ok(huge_pages);
        }
        let before = huge_pages.system().ok_or_else(|| {
            Error::Failed(format!("--thp {}: there is no {} here", mode.word(), setting.display()))
        })?;
        if before == mode.word() {
            return Ok(huge_pages);
        }
        // Asked first, so that there is never a change without somebody to undo it.
        std::fs::File::options().write(true).open(setting).map_err(Error::during(format!(
            "--thp {0} has to change {1}, which is {before} and needs root (echo {0} | sudo tee {1})",
            mode.word(),
            setting.display()
        )))?;
        let no_shell = "--thp: no shell to put huge pages back in the end";
        let mut shell = Command::new("/bin/sh")
            .args(["-c", RESTORE, "sh", &before])
            .arg(setting)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(Error::during(no_shell))?;
        let lifeline = shell.stdin.take().expect("its input is a pipe");
        if !shell.wait().is_ok_and(|status| status.success()) {
            return Err(Error::Failed(no_shell.into()));
        }
        huge_pages.changed = Some(Changed { before, lifeline });
        std::fs::write(setting, mode.word())
            .map_err(Error::during(format!("--thp {} cannot be set", mode.word())))?;
        Ok(huge_pages)
    }

    /// For the results: what holds for what is measured now.
    pub fn described(&self) -> String {
        let system = self.system().unwrap_or_else(|| "none".into());
        match &self.changed {
            _ if transparent_huge_pages_are_disabled().unwrap_or(false) => {
                format!("never for these processes (the system's: {system})")
            }
            Some(Changed { before, .. }) => format!("{system}, set for this run (before: {before})"),
            None => system,
        }
    }

    fn system(&self) -> Option<String> {
        read_to_string(&self.setting).ok().map(|text| chosen(&text))
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let Some(Changed { before, lifeline }) = self.changed.take() else { return };
        drop(lifeline);
        let began = Instant::now();
        while self.system().as_ref() != Some(&before) && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(2));
        }
        if self.system().as_ref() != Some(&before) {
            eprintln!(
                "matrix: huge pages were {before} and could not be put back: see {}",
                self.setting.display()
            );
        }
    }
}

fn prctl(disable: bool) -> Result<()> {
    disable_transparent_huge_pages(disable)
        .map_err(Error::during("--thp: this kernel does not let a process choose about huge pages"))
}

/// `always [madvise] never`: the one in brackets; a file with one word alone says that.
fn chosen(text: &str) -> String {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(text, |(word, _)| word).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::process::Invocation;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("enabled");
        std::fs::write(&file, text).unwrap();
        (folder, file)
    }

    /// One after another: the prctl is the whole process's.
    #[test]
    fn a_mode_holds_until_the_end_and_the_old_one_returns() {
        let (_folder, setting) = file("always [madvise] never");
        let says = || read_to_string(&setting).unwrap();

        let always = HugePages::set_in(&setting, Some(Mode::Always)).unwrap();
        assert_eq!(
            (says().as_str(), always.described().as_str()),
            ("always", "always, set for this run (before: madvise)")
        );
        drop(always);
        assert_eq!(says(), "madvise");

        let same = HugePages::set_in(&setting, Some(Mode::Madvise)).unwrap();
        assert!(same.changed.is_none() && same.described() == "madvise");

        let never = HugePages::set_in(&setting, Some(Mode::Never)).unwrap();
        assert_eq!(
            (says().as_str(), never.described().as_str()),
            ("madvise", "never for these processes (the system's: madvise)")
        );
        let child = Invocation::new(Path::new("/bin/sh"), &["-c", "grep THP_enabled /proc/self/status"]);
        assert_eq!(child.run().unwrap().success().unwrap().split_whitespace().last(), Some("0"));
        let again = HugePages::set_in(&setting, Some(Mode::Madvise)).unwrap();
        assert_eq!(again.described(), "madvise");
    }

    #[test]
    fn what_cannot_be_set_is_refused() {
        let (folder, _) = file("");
        let nowhere = HugePages::set_in(&folder.path().join("none"), Some(Mode::Always)).unwrap_err();
        assert!(nowhere.to_string().contains("--thp always: there is no"), "{nowhere}");
    }

    #[test]
    fn the_word_in_brackets_is_chosen() {
        assert_eq!(chosen("always [madvise] never\n"), "madvise");
        assert_eq!(chosen("always\n"), "always");
    }
}
