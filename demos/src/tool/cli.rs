//! The command line: what can be asked, and in which words.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::bytes::Bytes;
use super::contender::With;
use super::error::Result;
use super::{compare, demo, sweep, trace};

/// Shows which system call a request for memory becomes: brk or mmap.
///
/// Without a command: `brkmap compare`.
#[derive(Parser)]
#[command(name = "brkmap", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Write one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  brkmap                                            compare brkmap with glibc
  brkmap compare --sizes 100,32K,4MiB               the same at other sizes
  brkmap compare --with jemalloc=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2
  brkmap trace -- python3 -c 'print(1)'             every memory call of a program
  brkmap sweep                                      the size at which brk turns to mmap
  brkmap demo                                       what else mmap is for

Colour shows on a terminal only; NO_COLOR=1 turns it off, CLICOLOR_FORCE=1 on.";

#[derive(Subcommand)]
enum Command {
    /// Put the same requests to several allocators and show what each asks of the kernel
    Compare(CompareArgs),
    /// Run a command and show every brk, mmap, munmap, mremap, madvise and mprotect it makes
    Trace(TraceArgs),
    /// Find, to the byte, the request size at which an allocator changes its choice
    Sweep(SweepArgs),
    /// List the demo programs, or run one
    Demo(DemoArgs),
}

/// Which allocators to ask.
#[derive(Args, Default)]
pub struct ContenderArgs {
    /// Ask another allocator too: a shared library that replaces malloc (repeatable)
    #[arg(long, value_name = "NAME=PATH.so")]
    pub with: Vec<With>,
    /// Ask these alone: brkmap (by LD_PRELOAD), brkmap-rust (as global allocator), glibc, or a NAME
    /// given by --with
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub only: Vec<String>,
    /// The libbrkmap.so to preload [default: the one beside this program, else built by cargo]
    #[arg(long, value_name = "PATH")]
    pub preload: Option<PathBuf>,
    /// The Rust probe to run [default: the one beside this program, else built by cargo]
    #[arg(long, value_name = "PATH")]
    pub probe: Option<PathBuf>,
}

#[derive(Args, Default)]
#[command(after_help = COMPARE_HELP)]
pub struct CompareArgs {
    /// The request sizes, for example 10,64K,10MiB (at most 1 GiB) [default: 10 B, 1 KiB, 64 KiB,
    /// 131071 B, 128 KiB, 1 MiB, 10 MiB]
    #[arg(long, value_name = "SIZE,..", value_delimiter = ',')]
    pub sizes: Vec<Bytes>,
    #[command(flatten)]
    pub contenders: ContenderArgs,
}

const COMPARE_HELP: &str = "\
Each size is put to each allocator in two fresh processes. One makes a first request, a second one
while the first lives, frees both, and asks once more; the other lets one block grow by realloc to
twice and to four times its size. Page faults are counted as A+B: A while the call ran, B while
every page of the answer was then written to.";

#[derive(Args)]
#[command(after_help = TRACE_HELP)]
pub struct TraceArgs {
    /// Leave the calls out and show the sums alone
    #[arg(long)]
    pub summary_only: bool,
    /// Write to this file [default: stderr, so that the command keeps its stdout]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

const TRACE_HELP: &str = "\
Threads, children and programs started by exec are followed, and waited for: brkmap ends when the
last of them has. It exits with the command's exit code, 128+N when signal N killed it, 127 when
there is no such command, 126 when it cannot be run, 125 when it cannot be traced. A 32-bit program
on a 64-bit kernel runs, but unwatched.

Examples:
  brkmap trace -- ls -l
  brkmap trace --summary-only -- sh -c 'sort big | uniq'
  brkmap trace --json -o calls.json -- ./server";

#[derive(Args)]
#[command(after_help = SWEEP_HELP)]
pub struct SweepArgs {
    /// The smallest request
    #[arg(long, value_name = "SIZE", default_value = "1")]
    pub from: Bytes,
    /// The largest request
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub to: Bytes,
    #[command(flatten)]
    pub contenders: ContenderArgs,
}

const SWEEP_HELP: &str = "\
The choice is that for the last of several live requests of one size, together 256 KiB and at least
two, in a fresh process: the first ones can come out of what the allocator sets up for itself. Powers
of two are asked first; between two neighbours that are answered differently the boundary is found by
bisection, and both its sides are asked again. A change and a change back between two powers of two
is not seen.

Examples:
  brkmap sweep
  MALLOC_MMAP_THRESHOLD_=65536 brkmap sweep --only glibc
  brkmap sweep --from 1K --to 1M --with mimalloc=/usr/lib/x86_64-linux-gnu/libmimalloc.so.2";

#[derive(Args)]
pub struct DemoArgs {
    /// The demo to run; without it they are listed
    pub name: Option<String>,
    /// What the demo is given
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

impl Cli {
    /// The answer is the exit code.
    pub fn run(&self) -> Result<i32> {
        match &self.command {
            None => compare::run(&CompareArgs::default(), self.json),
            Some(Command::Compare(args)) => compare::run(args, self.json),
            Some(Command::Trace(args)) => trace::run(args, self.json),
            Some(Command::Sweep(args)) => sweep::run(args, self.json),
            Some(Command::Demo(args)) => demo::run(args, self.json),
        }
    }

    /// The exit code of a failure that is the tool's own.
    pub fn failure_code(&self, code: i32) -> i32 {
        // From `trace`, 1 would read as the command's.
        if code == 1 && matches!(self.command, Some(Command::Trace(_))) { 125 } else { code }
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
        assert!(!cli.json && args.output.is_none());
    }

    #[test]
    fn a_bad_size_is_refused_by_name() {
        let error = Cli::try_parse_from(["brkmap", "compare", "--sizes", "10,ten"]).err().unwrap();
        assert!(error.to_string().contains("`ten`"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
