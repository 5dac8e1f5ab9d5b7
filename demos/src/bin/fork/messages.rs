//! The two messages of the article, over memory that is shared and over memory that is not.
//!
//! ```text
//!   page 0 of the board (MAP_SHARED|MAP_ANONYMOUS):   turn | what the child saw, as JSON
//!   the message page, MAP_SHARED or MAP_PRIVATE:      "hi, this is father"
//!
//!   turn 0  parent writes            1  child reads, writes            2  parent reads
//! ```

use brkmap_base::error::{During, Error};
use brkmap_demos::baton::Baton;
use brkmap_demos::child::Child;
use brkmap_demos::mapping::{Mapping, PrivateAnonymous, SharedAnonymous, Writable, word32};
use brkmap_demos::proof::frames::Frame;
use brkmap_demos::report::Report;
use brkmap_witness::page_size;
use serde::{Deserialize, Serialize};

const FATHER: &str = "hi, this is father";
const SON: &str = "hi, dad, this is son";
const CHILDS_TURN: u32 = 1;
const PARENTS_TURN: u32 = 2;

const TURN: usize = 0;
const NOTE: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    text: String,
    before_write: Frame,
    after_write: Frame,
}

/// One exchange over `message`: what the child saw, and what the parent saw after it.
fn exchange<M: Writable>(message: &M) -> Result<(Seen, Seen), Error> {
    let board = SharedAnonymous::map(page_size())?;
    let turn = Baton::on(word32(&board, TURN));
    put(message, 0, FATHER);
    let before_write = Frame::of(message.addr())?;

    // SAFETY: this program has started no thread.
    let child = unsafe {
        Child::start(|| {
            turn.wait_for(CHILDS_TURN)?;
            let text = get(message, 0);
            let before_write = Frame::of(message.addr())?;
            put(message, 0, SON);
            let after_write = Frame::of(message.addr())?;
            let seen = Seen { text, before_write, after_write };
            put(&board, NOTE, &serde_json::to_string(&seen).during("write the note")?);
            turn.pass(PARENTS_TURN);
            Ok(())
        })
    }?;
    turn.pass(CHILDS_TURN);
    turn.wait_for(PARENTS_TURN)?;
    let son = serde_json::from_str(&get(&board, NOTE)).during("read the child's note")?;
    let father = Seen { text: get(message, 0), before_write, after_write: Frame::of(message.addr())? };
    child.join()?;
    Ok((son, father))
}

pub fn shared(report: &mut Report) -> Result<(), Error> {
    report.step("MAP_SHARED|MAP_ANONYMOUS, then fork: one page, two processes");
    let message = SharedAnonymous::map(page_size())?;
    let (son, father) = exchange(&message)?;
    report.claim(
        son.text == FATHER,
        "the child gets the parent's message",
        format!("child read {:?}", son.text),
    );
    report.claim(father.text == SON, "the parent gets the child's", format!("parent read {:?}", father.text));
    let why = format!("parent: {}, child after its write: {}", father.after_write, son.after_write);
    let same = father.after_write.same_as(son.after_write);
    report.claim_or_skip("both look at one frame, before and after", same.map(|same| (same, why)));
    Ok(())
}

pub fn private(report: &mut Report) -> Result<(), Error> {
    report.step("the same with MAP_PRIVATE|MAP_ANONYMOUS: copy on write");
    let message = PrivateAnonymous::map(page_size())?;
    let (son, father) = exchange(&message)?;
    report.claim(
        son.text == FATHER,
        "the child finds what was written before the fork",
        format!("child read {:?}", son.text),
    );
    let why = format!("parent: {}, child: {}", father.before_write, son.before_write);
    let same = father.before_write.same_as(son.before_write);
    report.claim_or_skip("until one writes, both look at one frame", same.map(|same| (same, why)));
    let why = format!("child before: {}, after: {}", son.before_write, son.after_write);
    let same = son.before_write.same_as(son.after_write);
    report.claim_or_skip("the child's write gave it a frame of its own", same.map(|same| (!same, why)));
    report.claim(
        father.text == FATHER,
        "the child's answer never reaches the parent",
        format!("parent read {:?}", father.text),
    );
    let why = format!("parent before: {}, after: {}", father.before_write, father.after_write);
    let same = father.before_write.same_as(father.after_write);
    report.claim_or_skip("the parent keeps the old frame", same.map(|same| (same, why)));
    Ok(())
}

/// Writes the text and a closing zero.
pub fn put<M: Writable>(mapping: &M, offset: usize, text: &str) {
    mapping.copy_in(offset, text.as_bytes());
    mapping.store(offset + text.len(), 0);
}

pub fn get<M: Mapping>(mapping: &M, offset: usize) -> String {
    let bytes: Vec<u8> =
        (offset..mapping.len()).map(|at| mapping.load(at)).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
