//! `brkmap trace`: every memory call of a command, and their sums.

mod reasons;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use anstream::{AutoStream, StripStream};
use brkmap_base::error::{Error, Result};
use brkmap_base::style::{FAILURE, FAINT, STRONG, paint};
use brkmap_tracer::{Call, End, Event, Filter, Outcome, Program, Syscall, Tracer};
use clap::Args;
use libc::{c_int, pid_t};
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use reasons::{Reason, Reasons};
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

Each line begins with the seconds since the start. Behind a call of brkmap's stands what it was for: the \
reason, and whose request or free it served. The program says that itself, by BRKMAP_LOG; where that is \
set already it is left alone, and no reasons are shown.

Examples:
  brkmap trace -- ls -l
  brkmap trace --summary-only -- sh -c 'sort big | uniq'
  brkmap trace --json -o calls.json -- ./server";

/// Runs the command under the tracer; the answer is the exit code that is then ours.
pub fn run(args: &Arguments, json: bool) -> Result<i32> {
    let log = Log::open(args, json)?;
    let mut program = Program::new(args.command.clone());
    let (reasons, filter) = Reasons::of(&mut program).unzip();
    let tracer = Tracer::start(&program, &filter.unwrap_or_else(Filter::memory_calls))?;
    stand_back(tracer.pids()[0]);
    let mut teller =
        Teller { log, reasons, held: HashMap::new(), summary: Summary::default(), began: Instant::now() };
    let ends = tracer.run(|event| teller.event(&event))?;
    let end = ends[0];
    teller.finish(end)?;
    Ok(end.code())
}

/// Tells each call with its reason, if there is one: what a thread did last is held until it does something else, or
/// says why it did that.
struct Teller {
    log: Log,
    reasons: Option<Reasons>,
    held: HashMap<pid_t, (Call, Duration)>,
    summary: Summary,
    began: Instant,
}

/// So long a call is held at most while others go on.
const PATIENCE: Duration = Duration::from_millis(50);

impl Teller {
    fn event(&mut self, event: &Event<'_>) {
        let now = self.began.elapsed();
        match event {
            // To the log: there is nothing else whose writes are told.
            Event::Call(call) if call.syscall == Syscall::Write => self.explain(),
            Event::Call(call) => {
                self.tell_held(call.tid);
                if self.reasons.is_some() {
                    self.held.insert(call.tid, (**call, now));
                } else {
                    self.tell(call, now, None);
                }
            }
            Event::Executed { tid } => {
                self.tell_held(*tid);
                self.log.executed(*tid, now);
            }
            Event::Mark { .. } | Event::Ends { .. } => {}
        }
        let mut old: Vec<_> = self.held.iter().filter(|(_, (_, at))| now - *at > PATIENCE).collect();
        old.sort_by_key(|(_, (_, at))| *at);
        let old: Vec<_> = old.into_iter().map(|(tid, _)| *tid).collect();
        old.into_iter().for_each(|tid| self.tell_held(tid));
    }

    /// Reads what came to the log, and tells the calls that it is about.
    fn explain(&mut self) {
        for reason in self.reasons.as_mut().map(Reasons::new_ones).unwrap_or_default() {
            let held = self.held.get(&reason.tid).copied();
            if let Some((call, at)) = held.filter(|(call, _)| reason.is_of(call)) {
                self.held.remove(&reason.tid);
                self.tell(&call, at, Some(&reason));
            }
        }
    }

    fn tell_held(&mut self, tid: pid_t) {
        if let Some((call, at)) = self.held.remove(&tid) {
            self.tell(&call, at, None);
        }
    }

    fn tell(&mut self, call: &Call, at: Duration, reason: Option<&Reason>) {
        match reason {
            Some(reason) => self.summary.add_for(call, &reason.word),
            None => self.summary.add(call),
        }
        self.log.call(call, at, reason);
    }

    fn finish(mut self, end: End) -> Result<()> {
        self.explain();
        let mut left: Vec<_> = self.held.drain().map(|(_, held)| held).collect();
        left.sort_by_key(|(_, at)| *at);
        left.iter().for_each(|(call, at)| self.tell(call, *at, None));
        self.log.finish(&self.summary, end)
    }
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
    /// Programs that were started, for the end of a document.
    executed: Vec<serde_json::Value>,
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
        let mut log = Log {
            out,
            calls,
            json,
            first: None,
            several: false,
            lines: 0,
            executed: Vec::new(),
            failure: None,
        };
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

    fn call(&mut self, call: &Call, at: Duration, reason: Option<&Reason>) {
        if !self.calls {
            return;
        }
        let begin = self.line(call.tid, at);
        self.lines += 1;
        if self.json {
            let comma = if self.lines == 1 { "" } else { "," };
            self.put(format_args!("{comma}\n{}", in_json(call, at, reason)));
        } else {
            let name = paint(console::style(call.syscall), call.syscall);
            let result = match call.outcome {
                Outcome::Failed(_) => paint(FAILURE, call.result()),
                Outcome::Returned(_) => call.result(),
            };
            let what = if call.reserves() { "addresses alone" } else { "" };
            let reason = reason.map(Reason::shown).unwrap_or_default();
            let words: Vec<_> = [&reason, what].into_iter().filter(|word| !word.is_empty()).collect();
            let words = if words.is_empty() { String::new() } else { format!("  # {}", words.join(", ")) };
            let words = if words.is_empty() { words } else { paint(FAINT, words) };
            self.put(format_args!("{begin}{name}({}) = {result}{words}\n", call.arguments().join(", ")));
        }
    }

    /// A process runs another program.
    fn executed(&mut self, tid: pid_t, at: Duration) {
        if !self.calls {
            return;
        }
        let program = std::fs::read_link(format!("/proc/{tid}/exe"));
        let program = program.map_or_else(|_| "?".to_owned(), |path| path.display().to_string());
        let begin = self.line(tid, at);
        if self.json {
            self.executed.push(json!({ "pid": tid, "seconds": at.as_secs_f64(), "program": program }));
        } else {
            let mark = paint(STRONG, format!("+++ exec {program} +++"));
            self.put(format_args!("{begin}{mark}\n"));
        }
    }

    /// What a line begins with: the time since the start, in seconds, and whose it is where there are several.
    fn line(&mut self, tid: pid_t, at: Duration) -> String {
        self.several |= *self.first.get_or_insert(tid) != tid;
        let time = paint(FAINT, format!("{:>9.6}", at.as_secs_f64()));
        if self.several { format!("{time} [pid {tid:>5}] ") } else { format!("{time} ") }
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
            let reasons: serde_json::Map<_, _> =
                summary.reasons().map(|(reason, count)| (reason.to_owned(), json!(count))).collect();
            let executed = std::mem::take(&mut self.executed);
            self.put(format_args!(
                "\n],\n\"executed\":{},\n\"reasons\":{},\n\"summary\":{},\n\"total\":{total},\n\"threads\":{},\n\"exit\":{},\"signal\":{}}}\n",
                json!(executed),
                json!(reasons),
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

fn in_json(call: &Call, at: Duration, reason: Option<&Reason>) -> serde_json::Value {
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
        "reserves": call.reserves(),
        "seconds": at.as_secs_f64(),
        "reason": reason.map(|reason| &reason.word),
        "cause": reason.map(|reason| &reason.cause),
        "cause_bytes": reason.and_then(|reason| reason.cause_bytes),
    })
}

fn as_table(summary: &Summary, end: End) -> String {
    let total = summary.total();
    let reserves = total.reserved.0 > 0;
    let header = ["syscall", "calls", "errors", "bytes", "of it reserved"];
    let mut table = console::table(header.map(str::to_owned).into_iter().take(if reserves { 5 } else { 4 }));
    let rows = summary.rows().map(|(call, count)| (paint(console::style(call), call), count));
    for (name, count) in rows.chain([(paint(STRONG, "total"), total)]) {
        let cells = [count.calls.to_string(), count.errors.to_string(), count.bytes.rounded()];
        let reserved =
            reserves.then(|| if count.reserved.0 > 0 { count.reserved.rounded() } else { String::new() });
        let cells = cells.into_iter().chain(reserved).map(console::right);
        table.add_row([comfy_table::Cell::new(name)].into_iter().chain(cells));
    }
    let mut text = table.trim_fmt() + "\n";
    text += "Bytes are what calls asked for, moved, advised on or gave back, added up: not what is held.\n";
    if reserves {
        text += "Reserved are addresses that were mapped without memory (PROT_NONE).\n";
    }
    if summary.reasons().next().is_some() {
        let mut table = console::table(["brkmap's for", "calls", "refused", "bytes"].map(str::to_owned));
        for (reason, count) in summary.reasons() {
            let refused = count.errors + count.refused;
            let cells =
                [count.calls.to_string(), refused.to_string(), count.bytes.rounded()].map(console::right);
            table.add_row([comfy_table::Cell::new(reason)].into_iter().chain(cells));
        }
        text += &format!("\n{}\n", table.trim_fmt());
    }
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
