//! kill -9 for a writer, at moments that a seed decides, and a look at what is left.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::store::Store;
use brkmap_base::bar::bar;
use brkmap_base::error::{During, Error};
use brkmap_demos::interrupt::Watch;
use brkmap_demos::report::Report;
use fastrand::Rng;

use crate::worker::{Contents, expected};

/// So many acknowledged commits at most before the kill is near.
const COMMITS: u64 = 30;
/// From the last of them to the kill: some commits long, so that it falls into any part of one.
const REST: Duration = Duration::from_micros(1500);
/// So many lives on one file; then a new one, for the kills to fall into its making too.
const LIVES: u32 = 10;

#[derive(Debug, Default)]
struct Seen {
    commits: u64,
    lost: u64,
    /// Lives after which the store was not what its commits make it.
    torn: u64,
    /// Lives ended between a commit and its acknowledgement.
    unsaid: u64,
    most_unsaid: u64,
}

pub fn run(report: &mut Report, dir: &Path, kills: u32, seed: u64, signals: &Watch) -> Result<(), Error> {
    report.step(format!("kill -9 a writer {kills} times at random moments (seed {seed})"));
    let mut dice = Rng::with_seed(seed);
    let mut seen = Seen::default();
    let bar = bar(kills.into(), "killing");
    let mut before = 0;
    for life in 0..kills {
        let path = dir.join(format!("torture {}", life / LIVES));
        if life % LIVES == 0 {
            before = 0;
        }
        let said = one(&path, &mut dice, signals)?.unwrap_or(before);
        let store = Store::create(&path)?;
        let done = store.sequence();
        let unsaid = done.saturating_sub(said);
        seen.lost += said.saturating_sub(done);
        seen.unsaid += u64::from(unsaid > 0);
        seen.most_unsaid = seen.most_unsaid.max(unsaid);
        seen.commits += done.saturating_sub(before);
        let found: Contents = store.scan(b"").map(|(key, value)| (key.to_vec(), value)).collect();
        seen.torn += u64::from(found != expected(done));
        before = done;
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.fact("kills", kills);
    report.fact("commits", seen.commits);
    report.claim(
        seen.lost == 0,
        "no commit that was acknowledged is lost",
        format!("{} commits over {kills} lives, {} lost", seen.commits, seen.lost),
    );
    report.claim(
        seen.torn == 0,
        "after every kill the store is exactly what its commits make it",
        format!("{} of {kills} times it was not", seen.torn),
    );
    report.claim(
        seen.most_unsaid <= 1,
        "a kill leaves one commit at most that was done but not yet acknowledged",
        format!("{} of {kills} kills fell into that gap; {} commit at most", seen.unsaid, seen.most_unsaid),
    );
    Ok(())
}

/// The last commit that the writer said before it was killed; None if it said none.
fn one(path: &Path, dice: &mut Rng, signals: &Watch) -> Result<Option<u64>, Error> {
    let program = std::env::current_exe().during("find this program")?;
    let mut writer = Command::new(program)
        .arg("worker")
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .during("start the writer")?;
    let mut output = writer.stdout.take().expect("stdout is piped");
    let mut said = None;
    let mut next = || {
        let mut word = [0; 8];
        let whole = output.read_exact(&mut word).is_ok();
        whole.then(|| said = Some(u64::from_le_bytes(word)))
    };
    for _ in 0..dice.u64(..COMMITS) {
        next();
    }
    let interrupted = signals.pause(Duration::from_nanos(dice.u64(..REST.as_nanos() as u64)));
    writer.kill().during("kill the writer")?;
    let status = writer.wait().during("wait for the writer")?;
    interrupted?;
    if status.code().is_some() {
        return Err(Error::failed(format!("the writer ended by itself: {status}")));
    }
    while next().is_some() {}
    Ok(said)
}
