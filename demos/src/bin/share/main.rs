//! Two processes, one file: `watch` looks at it through MAP_SHARED, `write` changes it through
//! MAP_SHARED or, with `--private`, changes only its own copy. `demo` runs both and proves it.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::watcher::{Event, WATCHED_AT_MOST, Watcher};
use brkmap_base::error::{During, Error};
use brkmap_base::output;
use brkmap_demos::input::{Access, open_file};
use brkmap_demos::interrupt::Watch;
use brkmap_demos::mapping::{FileView, Mapping, PrivateFile, SharedFile, Writable};
use brkmap_demos::program::run;
use brkmap_demos::proof::frames::Frame;
use brkmap_demos::report::{Form, Report, SCHEMA};
use brkmap_witness::page_size;
use clap::{Parser, Subcommand};

mod demo;
mod watcher;

const EXAMPLES: &str = "\
Examples:
  brkmap demo share
  brkmap demo share watch FILE
  brkmap demo share write FILE 0 hello";

#[derive(Parser)]
#[command(name = "share", version, about = "Two processes share a file by mmap", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print JSON (watch: one object a line)
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Map FILE with MAP_SHARED and show changes as they come, until Ctrl-C
    Watch {
        file: PathBuf,
        /// Seconds between two looks
        #[arg(long, default_value = "2", value_parser = seconds)]
        interval: Duration,
    },
    /// Put TEXT at OFFSET of FILE, through a mapping
    Write {
        file: PathBuf,
        offset: usize,
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        text: String,
        /// With MAP_PRIVATE: neither the file nor anybody else sees it
        #[arg(long)]
        private: bool,
        /// Write behind the file's end, in its last page, to see that it does not grow
        #[arg(long)]
        past_end: bool,
    },
    /// Run a watcher and writers on a file of our own, and prove every claim (the default)
    Demo,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse().map(Duration::try_from_secs_f64) {
        Ok(Ok(time)) if time >= Duration::from_millis(1) => Ok(time),
        _ => Err("give seconds, at least 0.001, such as 2 or 0.5".to_owned()),
    }
}

fn main() -> ExitCode {
    run(|cli: Cli| {
        let form = Form::of(cli.json);
        match cli.command.unwrap_or(Command::Demo) {
            Command::Watch { file, interval } => watch(&file, interval, form),
            Command::Write { file, offset, text, private, past_end } => {
                write(&file, offset, &text, private, past_end, form)
            }
            Command::Demo => demo::run(form),
        }
    })
}

fn watch(path: &Path, interval: Duration, form: Form) -> Result<ExitCode, Error> {
    let (file, length) = open_file(path, Access::Read)?;
    let signals = Watch::start()?;
    let (mut watcher, mapped) = Watcher::start(file)?;
    tell(&mapped, form)?;
    if length > WATCHED_AT_MOST {
        let most = WATCHED_AT_MOST >> 20;
        output::complain(format_args!("only the first {most} MiB of {length} bytes are watched"));
    }
    // Ctrl-C is how a watch ends.
    while signals.pause(interval).is_ok() {
        for event in watcher.poll()? {
            tell(&event, form)?;
        }
    }
    tell(&Event::Ended, form)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(event: &Event, form: Form) -> Result<(), Error> {
    if form == Form::Json {
        let mut value = serde_json::to_value(event).expect("strings and numbers only");
        value["schema"] = SCHEMA.into();
        return output::line(value);
    }
    output::line(event)
}

fn write(
    path: &Path,
    offset: usize,
    text: &str,
    private: bool,
    past_end: bool,
    form: Form,
) -> Result<ExitCode, Error> {
    let (file, length) = open_file(path, if private { Access::Read } else { Access::ReadWrite })?;
    let len = usize::try_from(length).during("fit the file into memory")?;
    let end = offset.saturating_add(text.len());
    check_range(path, offset, end, len, past_end)?;

    let mut report = Report::new("share write", form);
    let view = FileView::map(&file, len)?;
    let cached = touch(&view, offset)?;
    let mut before = vec![0; text.len()];
    view.copy_out(offset, &mut before);
    let flags = if private { "MAP_PRIVATE" } else { "MAP_SHARED" };
    report.step(format!("map {len} bytes {flags} and put {text:?} at offset {offset}"));

    let mut mine = vec![0; text.len()];
    let (read_frame, written_frame) = if private {
        let mapping = PrivateFile::map(&file, len)?;
        put(&mapping, offset, text, &mut mine)?
    } else {
        let mapping = SharedFile::map(&file, len)?;
        let frames = put(&mapping, offset, text, &mut mine)?;
        mapping.sync(0, len)?;
        frames
    };
    report.fact("pid", std::process::id());
    report.fact("frame_before", read_frame);
    report.fact("frame_after", written_frame);

    report.claim(mine == text.as_bytes(), "our mapping shows the text", format!("it reads {}", shown(&mine)));
    let same_before = read_frame.same_as(cached);
    let why = format!("page cache: {cached}, ours: {read_frame}");
    report.claim_or_skip(
        "before the write we look at the page cache's own frame",
        same_before.map(|s| (s, why)),
    );
    let same_after = written_frame.same_as(cached);
    let why = format!("page cache: {cached}, ours: {written_frame}");
    if private {
        report.claim_or_skip("the write gave us a frame of our own", same_after.map(|s| (!s, why)));
    } else {
        report.claim_or_skip("the write went into that same frame", same_after.map(|s| (s, why)));
    }

    let mut kept = vec![0; text.len()];
    let count = file.read_at(&mut kept, offset as u64).during("read the file")?;
    kept.truncate(count);
    let why = format!("read(2) gives {}", shown(&kept));
    if past_end {
        let inside = len.saturating_sub(offset).min(text.len());
        report.claim(count == inside, "read(2) ends at the old end", format!("{why}, {count} bytes"));
    } else if private {
        report.claim(kept == before, "the file does not have it", why);
    } else {
        report.claim(kept == text.as_bytes(), "the file has it", why);
    }
    let now = file.metadata().during("ask for the file's length")?.len();
    report.claim(now == length, "the file did not grow", format!("{length} bytes before, {now} after"));
    report.finish()
}

fn check_range(path: &Path, offset: usize, end: usize, len: usize, past_end: bool) -> Result<(), Error> {
    let name = path.display();
    let mapped = len.next_multiple_of(page_size());
    if end <= len {
        Ok(())
    } else if !past_end {
        Err(Error::usage(format!(
            "{name} has {len} bytes, the text would end at {end}: a mapping does not make a file longer; \
             lengthen it first (truncate -s {end}), or use an offset of at most {}",
            len.saturating_sub(end - offset)
        )))
    } else if end > mapped {
        Err(Error::usage(format!(
            "the last page of {name} ends at {mapped}, the text at {end}: behind that there is SIGBUS"
        )))
    } else {
        Ok(())
    }
}

/// The frame before and after the write.
fn put<M: Writable>(
    mapping: &M,
    offset: usize,
    text: &str,
    seen: &mut [u8],
) -> Result<(Frame, Frame), Error> {
    let before = touch(mapping, offset)?;
    mapping.copy_in(offset, text.as_bytes());
    mapping.copy_out(offset, seen);
    Ok((before, Frame::of(mapping.page_at(offset))?))
}

fn touch<M: Mapping>(mapping: &M, offset: usize) -> Result<Frame, Error> {
    mapping.load(offset);
    Frame::of(mapping.page_at(offset))
}

fn shown(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}
