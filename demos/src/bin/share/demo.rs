//! A watcher and some writers, each a process of its own, on a file of 3 pages and a bit.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::watcher::Event;
use brkmap_base::error::{During, Error};
use brkmap_demos::interrupt::Watch;
use brkmap_demos::proof::frames::Frame;
use brkmap_demos::report::{Form, Report};
use brkmap_witness::page_size;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far longer than anything takes; only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(20);

/// `share watch` as a child; ended when dropped.
struct Watcher {
    child: Child,
    events: Receiver<Event>,
}

impl Watcher {
    fn start(file: &Path) -> Result<Watcher, Error> {
        let mut child = myself()?
            .args(["watch", "--json", "--interval", "0.02"])
            .arg(file)
            .stdout(Stdio::piped())
            .spawn()
            .during("start the watcher")?;
        let output = child.stdout.take().expect("stdout is piped");
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str(&line) else { return };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Watcher { child, events })
    }

    fn next(&self, signals: &Watch) -> Result<Event, Error> {
        let start = Instant::now();
        loop {
            signals.check()?;
            match self.events.recv_timeout(Duration::from_millis(100)) {
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Timeout) if start.elapsed() < PATIENCE => {}
                Err(error) => return Err(Error::failed(format!("the watcher says nothing more: {error}"))),
            }
        }
    }

    fn interrupt(&mut self) -> Result<std::process::ExitStatus, Error> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGINT).during("interrupt the watcher")?;
        self.child.wait().during("wait for the watcher")
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn myself() -> Result<Command, Error> {
    Ok(Command::new(std::env::current_exe().during("find this program")?))
}

/// Runs `share write`, and gives back the frame it wrote to.
fn writer(report: &mut Report, file: &Path, arguments: &[&str]) -> Result<Frame, Error> {
    let output = myself()?
        .args(["write", "--json"])
        .arg(file)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .during("run the writer")?;
    let value: serde_json::Value =
        serde_json::from_slice(&output.stdout).during("read the writer's report")?;
    for claim in value["claims"].as_array().into_iter().flatten() {
        let text = format!("writer: {}", claim["claim"].as_str().unwrap_or_default());
        let why = claim["why"].as_str().unwrap_or_default();
        match claim["holds"].as_bool() {
            Some(holds) => report.claim(holds, text, why),
            None => report.skip(text, why),
        }
    }
    serde_json::from_value(value["facts"]["frame_after"].clone()).during("read the writer's frame")
}

pub fn run(form: Form) -> Result<ExitCode, Error> {
    let signals = Watch::start()?;
    let mut report = Report::new("share", form);
    let page = page_size();
    let mut file = tempfile::NamedTempFile::with_prefix("share-").during("make a file")?;
    let length = 3 * page + 100;
    file.write_all(&vec![b'#'; length]).during("fill the file")?;
    let path = file.path().to_owned();

    report.step(format!("a watcher maps a file of {length} bytes MAP_SHARED"));
    let mut watcher = Watcher::start(&path)?;
    let first = watcher.next(&signals)?;
    report.claim(
        matches!(first, Event::Mapped { length: seen, .. } if seen == length as u64),
        "the watcher has the whole file mapped",
        first.to_string(),
    );

    report.step("another process writes \"9\" at offset 20 through MAP_SHARED");
    let written = writer(&mut report, &path, &["20", "9"])?;
    let event = watcher.next(&signals)?;
    let (seen, watched) = change(&event);
    report.claim(seen == Some((20, "9")), "the watcher sees it", event.to_string());
    let why = format!("writer: {written}, watcher: {watched}");
    report
        .claim_or_skip("both processes look at one frame", written.same_as(watched).map(|same| (same, why)));

    report.step("another process writes \"7\" at offset 40 through MAP_PRIVATE, as the article's B does");
    report.note("the article (demos/README.md) says that its A then sees the change; it does not:");
    let private = writer(&mut report, &path, &["40", "7", "--private"])?;
    // Nothing to wait for when nothing comes: a shared write after it shows that the watcher looked.
    writer(&mut report, &path, &["60", "!"])?;
    let event = watcher.next(&signals)?;
    let (seen, watched) = change(&event);
    report.claim(
        seen == Some((60, "!")),
        "the watcher sees a later shared write at 60, and never the private one at 40",
        event.to_string(),
    );
    let why = format!("private writer: {private}, watcher: {watched}");
    report.claim_or_skip(
        "the private write went to another frame",
        private.same_as(watched).map(|s| (!s, why)),
    );

    report.step("a write behind the file's end, in its last page");
    writer(&mut report, &path, &[&(length + 10).to_string(), "beyond", "--past-end"])?;

    report.step(format!(
        "the file is truncated to {page} bytes under the watcher, then to none, then refilled"
    ));
    let handle = OpenOptions::new().write(true).open(&path).during("open the file")?;
    for (size, what) in [(page as u64, "SIGBUS is caught, the rest stays mapped"), (0, "nothing left to map")]
    {
        handle.set_len(size).during("truncate the file")?;
        let event = watcher.next(&signals)?;
        let told = matches!(event, Event::Truncated { length, sigbus_offset } if length == size && sigbus_offset == size as usize);
        report.claim(told, format!("truncated to {size}: {what}, no crash"), event.to_string());
    }
    handle.set_len(length as u64).during("lengthen the file")?;
    let event = watcher.next(&signals)?;
    let told = event == Event::Resized { length: length as u64 };
    report.claim(told, "lengthened again: the watcher maps it anew", event.to_string());

    report.step("Ctrl-C for the watcher");
    let status = watcher.interrupt()?;
    let last = watcher.next(&signals)?;
    report.claim(status.success() && last == Event::Ended, "the watcher unmaps and ends", status.to_string());
    report.finish()
}

fn change(event: &Event) -> (Option<(usize, &str)>, Frame) {
    match event {
        Event::Changed { offset, after, frame, .. } => (Some((*offset, after)), *frame),
        _ => (None, Frame::None),
    }
}
