//! A heap block allocated before fork: both have it, neither sees the other's writes, both may free it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use brkmap_base::bar::bar;
use brkmap_base::error::{During, Error};
use brkmap_demos::baton::Baton;
use brkmap_demos::child::Child;
use brkmap_demos::mapping::{SharedAnonymous, word32};
use brkmap_demos::proof::frames::Frame;
use brkmap_demos::report::Report;
use brkmap_witness::page_size;
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::messages::{get, put};

const THREADS: u64 = 3;
const FORKS: u64 = 100;
const NOTE: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    /// It found the parent's bytes, and then its own.
    bytes: bool,
    before_write: Frame,
    after_write: Frame,
    /// It freed the block, and allocated and freed others.
    freed: bool,
}

pub fn block(report: &mut Report) -> Result<(), Error> {
    report.step("a heap block of brkmap's, allocated before fork");
    let board = SharedAnonymous::map(page_size())?;
    let turn = Baton::on(word32(&board, 0));
    let mut block = Some(vec![b'p'; 3 * page_size()]);
    let page = block.as_ref().map_or(0, |block| block.as_ptr().addr()).next_multiple_of(page_size());
    let before_write = Frame::of(page)?;
    // SAFETY: this program has started no thread yet.
    let child = unsafe {
        Child::start(|| {
            turn.wait_for(1)?;
            // Out of the child's own copy of the Option: the parent's stays as it is.
            let mut mine = block.take().unwrap_or_default();
            let before_write = Frame::of(page)?;
            let found = mine.iter().all(|&byte| byte == b'p');
            mine.fill(b'c');
            let bytes = found && mine.iter().all(|&byte| byte == b'c');
            let after_write = Frame::of(page)?;
            drop(mine);
            let seen = Seen { bytes, before_write, after_write, freed: churn(&mut Rng::with_seed(1)) };
            put(&board, NOTE, &serde_json::to_string(&seen).during("write the note")?);
            turn.pass(2);
            Ok(())
        })
    }?;
    turn.pass(1);
    turn.wait_for(2)?;
    child.join()?;
    let son: Seen = serde_json::from_str(&get(&board, NOTE)).during("read the child's note")?;
    let mut ours = block.take().unwrap_or_default();
    let kept = ours.iter().all(|&byte| byte == b'p');
    let after = Frame::of(page)?;
    ours.fill(b'q');
    drop(ours);
    let freed = churn(&mut Rng::with_seed(2));

    let same = before_write.same_as(son.before_write);
    let why = format!("parent: {before_write}, child: {}", son.before_write);
    report.claim_or_skip("until one writes, both look at one frame", same.map(|same| (same, why)));
    let same = son.before_write.same_as(son.after_write);
    let why = format!("child before: {}, after: {}; parent: {after}", son.before_write, son.after_write);
    report.claim_or_skip("the child's write gave it a frame of its own", same.map(|same| (!same, why)));
    report.claim(
        son.bytes && kept,
        "the child sees its own writes, the parent does not",
        format!("child: all bytes as written: {}, parent: {kept}", son.bytes),
    );
    report.claim(
        son.freed && freed,
        "both free the block, and go on with their heaps",
        format!("blocks allocated after it are sound: child: {}, parent: {freed}", son.freed),
    );
    Ok(())
}

pub fn among_threads(report: &mut Report) -> Result<(), Error> {
    report.step(format!("{FORKS} forks while {THREADS} threads allocate and free"));
    let (stop, rounds, sound) = (AtomicBool::new(false), AtomicU32::new(0), AtomicBool::new(true));
    let bar = bar(FORKS, "forking");
    let forked = std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let (stop, rounds, sound) = (&stop, &rounds, &sound);
            scope.spawn(move || {
                let mut dice = Rng::with_seed(seed);
                // Relaxed, all of it: nothing else is told by these.
                while !stop.load(Relaxed) {
                    if !churn(&mut dice) {
                        sound.store(false, Relaxed);
                    }
                    rounds.fetch_add(1, Relaxed);
                }
            });
        }
        let forked = (0..FORKS).try_for_each(|number| {
            bar.inc(1);
            one(number, &rounds)
        });
        stop.store(true, Relaxed);
        forked
    });
    bar.finish_and_clear();
    let rounds = rounds.load(Relaxed);
    let why = match &forked {
        Ok(()) => format!("{FORKS} children ended well; the threads made {rounds} rounds meanwhile"),
        Err(trouble) => trouble.to_string(),
    };
    report.claim(forked.is_ok(), "every child can use and free what it inherited, and allocate anew", why);
    report.claim(
        sound.load(Relaxed),
        "and the parent's threads never noticed",
        "every block was read back as it was written",
    );
    Ok(())
}

/// One child, forked while the threads are in the middle of something.
fn one(number: u64, rounds: &AtomicU32) -> Result<(), Error> {
    let before = rounds.load(Relaxed);
    while rounds.load(Relaxed) == before {
        std::thread::yield_now();
    }
    let mut dice = Rng::with_seed(number);
    let mark = number as u8;
    let mut block = Some(vec![mark; 1 + dice.u64(..300_000) as usize]);
    // SAFETY: the child uses no lock of the threads' but the allocator's, which is made whole at fork.
    let child = unsafe {
        Child::start(|| {
            let mut mine = block.take().unwrap_or_default();
            let found = mine.iter().all(|&byte| byte == mark);
            mine.fill(!mark);
            drop(mine);
            let sound = found && (0..5).all(|_| churn(&mut dice));
            if sound { Ok(()) } else { Err(Error::failed("the child's heap is damaged")) }
        })
    }?;
    child.join()?;
    match block {
        Some(block) if block.iter().all(|&byte| byte == mark) => Ok(()),
        _ => Err(Error::failed("the parent's block is damaged")),
    }
}

/// Allocates blocks of many sizes, frees them in another order; false if one did not keep its bytes.
fn churn(dice: &mut Rng) -> bool {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    for mark in 0..100_u8 {
        let most = if mark % 25 == 0 { 200_000 } else { 3000 };
        blocks.push(vec![mark; 1 + dice.u64(..most) as usize]);
    }
    let mut sound = true;
    while !blocks.is_empty() {
        let block = blocks.swap_remove(dice.u64(..blocks.len() as u64) as usize);
        sound &= block.iter().all(|&byte| byte == block[0]);
    }
    sound
}
