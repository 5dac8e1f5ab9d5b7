//! `brkmap trace`: every memory call of a command, and their sums.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};

use anstream::{AutoStream, StripStream};
use brkmap_base::error::{Error, Result};
use brkmap_base::style::{FAILURE, STRONG, paint};
use brkmap_tracer::{Call, End, Event, Filter, Outcome, Program, Tracer};
use clap::Args;
use libc::{c_int, pid_t};
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use serde_json::json;

use crate::console::{self, JSON_SCHEMA};
use crate::summary::Summary;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
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

const HELP: &str = "\
Threads, children and programs started by exec are followed, and waited for: brkmap ends when the \
last of them has. It exits with the command's exit code, 128+N when signal N killed it, 127 when \
there is no such command, 126 when it cannot be run, 125 when it cannot be traced. A 32-bit program \
on a 64-bit kernel runs, but unwatched.

Examples:
  brkmap trace -- ls -l
  brkmap trace --summary-only -- sh -c 'sort big | uniq'
  brkmap trace --json -o calls.json -- ./server";

/// Runs the command under the tracer; the answer is the exit code that is then ours.
pub fn run(args: &Arguments, json: bool) -> Result<i32> {
    let mut log = Log::open(args, json)?;
    let tracer = Tracer::start(&Program::new(args.command.clone()), &Filter::memory_calls())?;
    stand_back(tracer.pids()[0]);
    let mut summary = Summary::default();
    let ends = tracer.run(|event| {
        if let Event::Call(call) = event {
            summary.add(call);
            log.call(call);
        }
    })?;
    let end = ends[0];
    log.finish(&summary, end)?;
    Ok(end.code())
}

/// Where the lines go. A full disk or a closed pipe must not take the command down with it: the
/// first failure is kept for the end, and the command runs on.
struct Log {
    out: Box<dyn Write>,
    calls: bool,
    json: bool,
    first: Option<pid_t>,
    several: bool,
    lines: u64,
    failure: Option<io::Error>,
}

impl Log {
    fn open(args: &Arguments, json: bool) -> Result<Log> {
        let out: Box<dyn Write> = match &args.output {
            Some(path) => {
                let file = File::create(path)
                    .map_err(|error| Error::Usage(format!("cannot write {}: {error}", path.display())))?;
                Box::new(BufWriter::new(StripStream::new(file)))
            }
            None => Box::new(AutoStream::auto(io::stderr())),
        };
        let calls = !args.summary_only;
        let mut log = Log { out, calls, json, first: None, several: false, lines: 0, failure: None };
        if json {
            let command: Vec<_> = args.command.iter().map(|part| part.to_string_lossy()).collect();
            let head = json!({ "schema": JSON_SCHEMA, "tool": "trace", "command": command }).to_string();
            // One document, written as it comes: a trace can be longer than memory is large.
            log.put(format_args!("{},\n\"calls\":[", head.trim_end_matches('}')));
        }
        Ok(log)
    }

    /// A line is one write, so that it stays whole beside what the command writes to the same place.
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        if self.failure.is_none()
            && let Err(error) = self.out.write_all(text.to_string().as_bytes())
        {
            self.failure = Some(error);
        }
    }

    fn call(&mut self, call: &Call) {
        if !self.calls {
            return;
        }
        self.several |= *self.first.get_or_insert(call.tid) != call.tid;
        self.lines += 1;
        if self.json {
            let comma = if self.lines == 1 { "" } else { "," };
            self.put(format_args!("{comma}\n{}", in_json(call)));
        } else {
            let pid = if self.several { format!("[pid {:>5}] ", call.tid) } else { String::new() };
            let name = paint(console::style(call.syscall), call.syscall);
            let result = match call.outcome {
                Outcome::Failed(_) => paint(FAILURE, call.result()),
                Outcome::Returned(_) => call.result(),
            };
            self.put(format_args!("{pid}{name}({}) = {result}\n", call.arguments().join(", ")));
        }
    }

    fn finish(mut self, summary: &Summary, end: End) -> Result<()> {
        if self.json {
            let rows: serde_json::Map<_, _> =
                summary.rows().map(|(call, count)| (call.to_string(), json!(count))).collect();
            let (exit, signal) = match end {
                End::Exited(code) => (Some(code), None),
                End::Killed(signal) => (None, Some(signal)),
            };
            let total = json!(summary.total());
            self.put(format_args!(
                "\n],\n\"summary\":{},\n\"total\":{total},\n\"threads\":{},\n\"exit\":{},\"signal\":{}}}\n",
                json!(rows),
                summary.threads(),
                json!(exit),
                json!(signal)
            ));
        } else {
            let gap = if self.lines > 0 { "\n" } else { "" };
            self.put(format_args!("{gap}{}", as_table(summary, end)));
        }
        if let Err(error) = self.out.flush() {
            self.failure.get_or_insert(error);
        }
        match self.failure {
            Some(error) => Err(Error::Failed(format!("the trace is incomplete: {error}"))),
            None => Ok(()),
        }
    }
}

fn in_json(call: &Call) -> serde_json::Value {
    let (result, errno) = match call.outcome {
        // As text, as addresses are everywhere: half of the readers of JSON round numbers of this size.
        Outcome::Returned(_) => (Some(call.result()), None),
        Outcome::Failed(code) => (None, Some(format!("{:?}", Errno::from_raw(code)))),
    };
    json!({
        "pid": call.tid,
        "call": call.syscall.to_string(),
        "arguments": call.arguments(),
        "result": result,
        "errno": errno,
        "bytes": call.bytes(),
    })
}

fn as_table(summary: &Summary, end: End) -> String {
    let mut table = console::table(["syscall", "calls", "errors", "bytes"].map(str::to_owned));
    let total = summary.total();
    let rows = summary.rows().map(|(call, count)| (paint(console::style(call), call), count));
    for (name, count) in rows.chain([(paint(STRONG, "total"), total)]) {
        table.add_row([
            comfy_table::Cell::new(name),
            console::right(count.calls),
            console::right(count.errors),
            console::right(count.bytes.rounded()),
        ]);
    }
    let mut text = table.trim_fmt() + "\n";
    if total.refused > 0 {
        let plural = if total.refused == 1 { "" } else { "s" };
        text += &format!("{} brk call{plural} could not move the break.\n", total.refused);
    }
    if summary.threads() > 1 {
        text += &format!("{} threads and processes made memory calls.\n", summary.threads());
    }
    if let End::Killed(signal) = end {
        let name = Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |s| s.to_string());
        text += &format!("The command was killed by {name}.\n");
    }
    text
}

static COMMAND: AtomicI32 = AtomicI32::new(0);

/// A key on the terminal signals the command as it signals us: what becomes of it is its to say, and
/// we stay to report. A signal sent to us alone is passed on.
fn stand_back(command: pid_t) {
    // Relaxed: the handler runs on this thread, after the store in program order.
    COMMAND.store(command, Ordering::Relaxed);
    let empty = SigSet::empty();
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), empty);
    let pass_on = SigAction::new(SigHandler::Handler(pass_on), SaFlags::SA_RESTART, empty);
    let actions = [
        (Signal::SIGINT, &ignore),
        (Signal::SIGQUIT, &ignore),
        (Signal::SIGTERM, &pass_on),
        (Signal::SIGHUP, &pass_on),
    ];
    for (signal, action) in actions {
        // SAFETY: `pass_on` calls `kill` alone, which is async-signal-safe, and keeps errno.
        let _ = unsafe { sigaction(signal, action) };
    }
}

extern "C" fn pass_on(signal: c_int) {
    let errno = Errno::last_raw();
    // SAFETY: kill takes numbers; the command stays ours until it is waited for.
    unsafe { libc::kill(COMMAND.load(Ordering::Relaxed), signal) };
    Errno::set_raw(errno);
}
