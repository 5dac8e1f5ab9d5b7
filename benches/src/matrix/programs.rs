//! Real programs, each with a script of ours to run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use brkmap_base::error::{Error, Result};

use super::process::Invocation;

pub struct Program {
    pub name: &'static str,
    pub about: &'static str,
    /// Names of the command, the first that is found counts; the others must be there too.
    commands: &'static [&'static str],
    needs: &'static [&'static str],
    /// `{script}`, `{scale}` and `{preload}` are put in.
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    script: (&'static str, &'static str),
    /// The script gives the library to the one process that counts.
    pub preloads_itself: bool,
}

pub const ALL: [Program; 7] = [
    Program {
        name: "python",
        about: "python3: objects, dictionaries, JSON, with each object a request of its own",
        commands: &["python3"],
        needs: &[],
        arguments: &["-S", "{script}", "{scale}"],
        environment: &[("PYTHONMALLOC", "malloc"), ("PYTHONHASHSEED", "0")],
        script: ("objects.py", include_str!("../../programs/objects.py")),
        preloads_itself: false,
    },
    Program {
        name: "lua",
        about: "lua: tables, closures, strings",
        commands: &["lua5.4", "lua"],
        needs: &[],
        arguments: &["{script}", "{scale}"],
        environment: &[],
        script: ("tables.lua", include_str!("../../programs/tables.lua")),
        preloads_itself: false,
    },
    Program {
        name: "perl",
        about: "perl: hashes of lists, regular expressions, sorting",
        commands: &["perl"],
        needs: &[],
        arguments: &["{script}", "{scale}"],
        environment: &[("PERL_HASH_SEED", "0"), ("PERL_PERTURB_KEYS", "0")],
        script: ("words.pl", include_str!("../../programs/words.pl")),
        preloads_itself: false,
    },
    Program {
        name: "sqlite3",
        about: "sqlite3: a database in memory, joins, updates, an index",
        commands: &["sqlite3"],
        needs: &[],
        arguments: &[
            "-batch",
            "-cmd",
            ".parameter init",
            "-cmd",
            ".parameter set @scale {scale}",
            ":memory:",
            ".read {script}",
        ],
        environment: &[],
        script: ("tables.sql", include_str!("../../programs/tables.sql")),
        preloads_itself: false,
    },
    Program {
        name: "jq",
        about: "jq: records made, printed, parsed, grouped",
        commands: &["jq"],
        needs: &[],
        arguments: &["-n", "--argjson", "scale", "{scale}", "-f", "{script}"],
        environment: &[],
        script: ("records.jq", include_str!("../../programs/records.jq")),
        preloads_itself: false,
    },
    Program {
        name: "redis",
        about: "redis-server: strings, lists and hashes, filled by a script inside it",
        commands: &["sh"],
        needs: &["redis-server", "redis-cli", "mktemp"],
        arguments: &["{script}", "{preload}", "{scale}"],
        environment: &[],
        script: ("redis.sh", include_str!("../../programs/redis.sh")),
        preloads_itself: true,
    },
    Program {
        name: "gcc",
        about: "gcc: a long C file to assembly",
        commands: &["gcc"],
        needs: &[],
        arguments: &["-O1", "-S", "-o", "-", "-DSCALE={scale}", "{script}"],
        environment: &[],
        script: ("functions.c", include_str!("../../programs/functions.c")),
        preloads_itself: false,
    },
];

/// A program that is here, with its script laid out.
pub struct Ready {
    pub program: &'static Program,
    command: PathBuf,
    script: PathBuf,
    /// What `{preload}` is where nothing is preloaded.
    libc: PathBuf,
}

impl Program {
    /// Ready to run, or the reason why it cannot.
    pub fn prepare(&'static self, folder: &Path, libc: &Path) -> Result<std::result::Result<Ready, String>> {
        let Some(command) = self.commands.iter().find_map(|name| find(name)) else {
            return Ok(Err(format!("no command {}", self.commands.join(" or "))));
        };
        if let Some(missing) = self.needs.iter().find(|name| find(name).is_none()) {
            return Ok(Err(format!("no command {missing}")));
        }
        let script = folder.join(self.script.0);
        std::fs::write(&script, self.script.1)
            .map_err(Error::during(format!("cannot write {}", script.display())))?;
        Ok(Ok(Ready { program: self, command, script, libc: libc.to_owned() }))
    }
}

impl Ready {
    pub fn invocation(&self, preload: Option<&Path>, scale: u64) -> Invocation {
        let given = preload.unwrap_or(&self.libc);
        let put_in = |argument: &&str| {
            argument
                .replace("{script}", &self.script.to_string_lossy())
                .replace("{scale}", &scale.to_string())
                .replace("{preload}", &given.to_string_lossy())
        };
        let arguments: Vec<String> = self.program.arguments.iter().map(put_in).collect();
        let mut invocation = Invocation::new(&self.command, &arguments);
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), OsString::from(value));
        invocation.environment = self.program.environment.iter().map(pair).collect();
        // Every program gets the same surroundings, whoever starts the matrix.
        invocation.environment.extend([("LC_ALL".into(), "C".into()), ("TZ".into(), "UTC".into())]);
        if !self.program.preloads_itself {
            invocation.preload = preload.map(Path::to_owned);
        }
        invocation
    }
}

/// The file of a command. A shim (a script that starts the real one) would be measured too, so python is
/// asked where it is.
fn find(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file())?;
    if name != "python3" {
        return Some(found);
    }
    let output =
        std::process::Command::new(&found).args(["-c", "import sys; print(sys.executable)"]).output();
    super::build::text(output).filter(|path| !path.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_carry_script_scale_and_library() {
        let folder = tempfile::tempdir().unwrap();
        let redis = ALL.iter().find(|program| program.name == "redis").unwrap();
        let ready = Ready {
            program: redis,
            command: "/bin/sh".into(),
            script: folder.path().join("s"),
            libc: "/lib/libc.so.6".into(),
        };
        let argv = ready.invocation(Some(Path::new("/x.so")), 30).argv;
        assert!(argv.ends_with(&["/x.so".into(), "30".into()]));
        assert!(ready.invocation(None, 30).argv.contains(&"/lib/libc.so.6".into()));
        assert_eq!(ready.invocation(Some(Path::new("/x.so")), 30).preload, None);
    }

    #[test]
    fn a_missing_program_is_skipped_by_name() {
        static NONE: Program = Program {
            name: "none",
            about: "",
            commands: &["no-such-command"],
            needs: &[],
            arguments: &[],
            environment: &[],
            script: ("x", ""),
            preloads_itself: false,
        };
        let folder = tempfile::tempdir().unwrap();
        let reason = NONE.prepare(folder.path(), Path::new("")).unwrap().err().unwrap();
        assert!(reason.contains("no-such-command"));
    }
}
