//! Three ways to get a file's bytes from one process to another.
//!
//! ```text
//!   pipe, queue   file ─1─▶ buffer ─2─▶ kernel ─3─▶ buffer ─4─▶ file
//!   ring          file ─1─▶ block in shared memory ─2─▶ file
//! ```

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

use crate::ring::Ring;
use brkmap_base::error::{During, Error};
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::stat::Mode;

/// What moves at once: the longest message a queue takes by default (fs.mqueue.msgsize_max).
pub const BLOCK: usize = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pipe,
    Queue,
    Ring,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Pipe, Kind::Queue, Kind::Ring];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Pipe => "pipe",
            Kind::Queue => "message queue",
            Kind::Ring => "shared ring",
        }
    }

    /// How often each byte crosses between user space and the kernel.
    pub fn copies(self) -> u64 {
        match self {
            Kind::Pipe | Kind::Queue => 4,
            Kind::Ring => 2,
        }
    }
}

/// Made before the fork, used by one sender and one receiver.
pub enum Channel {
    Pipe { receiver: std::io::PipeReader, sender: std::io::PipeWriter },
    Queue(MqdT),
    Ring(Ring),
}

impl Channel {
    /// `Err` is the reason why there is no such channel here.
    pub fn open(kind: Kind) -> Result<Channel, String> {
        match kind {
            Kind::Pipe => {
                let (receiver, sender) = std::io::pipe().map_err(|error| format!("no pipe: {error}"))?;
                Ok(Channel::Pipe { receiver, sender })
            }
            Kind::Queue => queue().map(Channel::Queue),
            Kind::Ring => Ring::new(BLOCK).map(Channel::Ring).map_err(|error| error.to_string()),
        }
    }

    /// Sends the first `length` bytes of `from`.
    pub fn send(&self, from: &File, length: u64) -> Result<(), Error> {
        let mut buffer = vec![0; BLOCK];
        let mut at = 0;
        while at < length {
            let count = (length - at).min(BLOCK as u64) as usize;
            match self {
                Channel::Pipe { sender, .. } => {
                    from.read_exact_at(&mut buffer[..count], at).during("read the file")?;
                    let mut sender = sender;
                    sender.write_all(&buffer[..count]).during("write to the pipe")?;
                }
                Channel::Queue(queue) => {
                    from.read_exact_at(&mut buffer[..count], at).during("read the file")?;
                    mq_send(queue, &buffer[..count], 0).during("send the message")?;
                }
                Channel::Ring(ring) => {
                    // SAFETY: `send` is called by one process only.
                    let mut filler = unsafe { ring.filler() };
                    filler
                        .fill(|block| from.read_exact_at(&mut block[..count], at).during("read the file"))?;
                }
            }
            at += count as u64;
        }
        Ok(())
    }

    /// Receives `length` bytes into `to`.
    pub fn receive(&self, to: &File, length: u64) -> Result<(), Error> {
        let mut buffer = vec![0; BLOCK];
        let mut at = 0;
        while at < length {
            let left = (length - at).min(BLOCK as u64) as usize;
            let count = match self {
                Channel::Pipe { receiver, .. } => {
                    let mut receiver = receiver;
                    let count = receiver.read(&mut buffer[..left]).during("read from the pipe")?;
                    to.write_all_at(&buffer[..count], at).during("write the file")?;
                    count
                }
                Channel::Queue(queue) => {
                    let mut priority = 0;
                    let count =
                        mq_receive(queue, &mut buffer, &mut priority).during("receive the message")?;
                    to.write_all_at(&buffer[..count], at).during("write the file")?;
                    count
                }
                Channel::Ring(ring) => {
                    // SAFETY: `receive` is called by one process only.
                    let mut emptier = unsafe { ring.emptier() };
                    emptier.empty(|block| to.write_all_at(&block[..left], at).during("write the file"))?;
                    left
                }
            };
            if count == 0 {
                return Err(Error::failed("the sender is gone"));
            }
            at += count as u64;
        }
        Ok(())
    }
}

/// A queue that only we know: its name is taken away at once.
fn queue() -> Result<MqdT, String> {
    let name = format!("/brkmap-ipc-{}", std::process::id());
    let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR;
    let shape = MqAttr::new(0, 10, BLOCK as i64, 0);
    let queue = mq_open(name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&shape))
        .map_err(|errno| format!("no POSIX message queue of {BLOCK} byte messages: {errno}"))?;
    let _ = mq_unlink(name.as_str());
    Ok(queue)
}
