//! The command line: what can be asked, and in which words.

use std::ffi::OsString;
use std::path::PathBuf;

use brkmap_base::error::Result;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::{compare, demo, doctor, maps, profile, race, sweep, top, trace};

/// Shows which system call a request for memory becomes: brk or mmap.
///
/// Without a command: `brkmap compare`.
#[derive(Parser)]
#[command(name = "brkmap", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Write one JSON document instead of text
    // As a path, for `race` has an option of this name that takes one.
    #[arg(long, global = true, num_args = 0, default_missing_value = "-")]
    json: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  Compare brkmap with glibc, and at sizes of your own:
    brkmap
    brkmap --sizes 100,32K,1.5MiB
  Every memory call of a program:
    brkmap trace -- python3 -c 'print(1)'
  The size at which brk turns to mmap:
    brkmap sweep
  Whether a program runs on brkmap:
    brkmap doctor 4711
  Which allocator is the best for a program:
    brkmap race -- ./program
  Where a program's memory comes from:
    brkmap profile -- ./server --test
  What else mmap is for:
    brkmap demo

Colour shows on a terminal only. NO_COLOR=1 turns it off, CLICOLOR_FORCE=1 on.";

#[derive(Subcommand)]
enum Command {
    /// Put the same requests to several allocators and show what each asks of the kernel
    Compare(compare::Arguments),
    /// Run a command and show every brk, mmap, munmap, mremap, madvise and mprotect it makes
    Trace(trace::Arguments),
    /// Find, to the byte, the request size at which an allocator changes its choice
    Sweep(sweep::Arguments),
    /// Say whether brkmap is a program's malloc, and if not, why
    Doctor(doctor::Arguments),
    /// Run a command under every allocator that is here, in turn, and say which is faster, and how sure that is
    Race(race::Arguments),
    /// Draw a process's memory: break, regions, slabs, spans, large blocks, what is free
    Maps(maps::Arguments),
    /// Watch a process's memory and the calls it makes for it, each with its reason
    Top(top::Arguments),
    /// Show where a program's memory comes from, of a run or of a heap profile's file
    Profile(profile::Arguments),
    /// List the demo programs, or run one
    Demo(demo::Arguments),
}

impl Cli {
    /// Options without a command are those of `compare`, as no words at all are.
    pub fn of(words: Vec<OsString>) -> std::result::Result<Cli, clap::Error> {
        let plain = Cli::try_parse_from(&words);
        let optional = words.get(1).is_some_and(|first| first.as_encoded_bytes().starts_with(b"-"));
        match plain {
            Err(error) if optional && error.kind() == ErrorKind::UnknownArgument => {
                let (program, options) = words.split_at(1);
                Cli::try_parse_from([program, &["compare".into()], options].concat())
            }
            other => other,
        }
    }

    /// The answer is the exit code.
    pub fn run(&self) -> Result<i32> {
        let json = self.json.is_some();
        match &self.command {
            None => compare::run(&compare::Arguments::default(), json),
            Some(Command::Compare(args)) => compare::run(args, json),
            Some(Command::Trace(args)) => trace::run(args, json),
            Some(Command::Sweep(args)) => sweep::run(args, json),
            Some(Command::Doctor(args)) => doctor::run(args, json),
            Some(Command::Race(args)) => race::run(args),
            Some(Command::Profile(args)) => profile::run(args, json),
            Some(Command::Maps(args)) => maps::run(args, json),
            Some(Command::Top(args)) => top::run(args, json),
            Some(Command::Demo(args)) => demo::run(args, json),
        }
    }

    /// The exit code of a failure that is the tool's own.
    pub fn failure_code(&self, code: i32) -> i32 {
        // From these, 1 would read as the command's.
        if code == 1 && matches!(self.command, Some(Command::Trace(_) | Command::Profile(_))) {
            125
        } else {
            code
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_command_is_the_commands() {
        let cli = Cli::try_parse_from(["brkmap", "trace", "--", "ls", "--json", "-o"]).unwrap();
        let Some(Command::Trace(args)) = cli.command else { panic!("trace was asked for") };
        assert_eq!(args.command, ["ls", "--json", "-o"]);
        assert!(cli.json.is_none() && args.output.is_none());
    }

    #[test]
    fn what_follows_a_demo_is_the_demos() {
        let cli = Cli::try_parse_from(["brkmap", "demo", "share", "--json", "--help"]).unwrap();
        let Some(Command::Demo(args)) = cli.command else { panic!("a demo was asked for") };
        assert_eq!(args.words, ["share", "--json", "--help"]);
        assert!(
            cli.json.is_none() && Cli::try_parse_from(["brkmap", "demo", "--json"]).unwrap().json.is_some()
        );
    }

    #[test]
    fn a_race_takes_a_file_for_its_json_or_none() {
        let json = |words: &[&str]| {
            let cli = Cli::try_parse_from([&["brkmap"], words, &["--", "ls", "--json"]].concat()).unwrap();
            let Some(Command::Race(args)) = cli.command else { panic!("a race was asked for") };
            assert_eq!(args.command, ["ls", "--json"]);
            args.json
        };
        assert_eq!(json(&["race"]), None);
        assert_eq!(json(&["race", "--json", "r.json"]), Some("r.json".into()));
        for stdout in [&["race", "--json"], &["--json", "race"]] {
            assert_eq!(json(stdout), Some("-".into()));
        }
    }

    #[test]
    fn options_alone_are_compares() {
        let cli = |words: &[&str]| Cli::of(["brkmap"].iter().chain(words).map(Into::into).collect());
        let compared = cli(&["--json", "--sizes", "1K,1.5MiB"]).unwrap();
        assert!(compared.json.is_some() && matches!(compared.command, Some(Command::Compare(_))));
        assert!(cli(&[]).unwrap().command.is_none());
        assert!(matches!(cli(&["trace", "--sizes"]).unwrap().command, Some(Command::Trace(_))));
        let error = cli(&["--sices", "1K"]).err().unwrap();
        assert!(error.to_string().contains("--sices"), "{error}");
        let error = cli(&["--sizes", "ten"]).err().unwrap();
        assert!(error.to_string().contains("`ten`"), "{error}");
    }

    #[test]
    fn a_bad_size_is_refused_by_name() {
        let error = Cli::try_parse_from(["brkmap", "compare", "--sizes", "10,ten"]).err().unwrap();
        assert!(error.to_string().contains("`ten`"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
