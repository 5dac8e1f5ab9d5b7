//! The client: it draws, and knows nothing of terminals.

use std::sync::atomic::Ordering::Relaxed;

use crate::framebuffer::Framebuffer;
use brkmap_base::error::{During, Error};
use brkmap_demos::proof::frames::Frame;
use procfs::process::Process;
use serde::{Deserialize, Serialize};

/// What the painter saw of itself, for the server to compare.
#[derive(Debug, Serialize, Deserialize)]
pub struct Witness {
    pub pid: u32,
    /// Behind the first pixel.
    pub frame: Frame,
    /// Bytes it handed to write(2) and its kin while it painted.
    /// None where the kernel does not count them.
    pub written: Option<u64>,
}

/// Turn 2n + 1 is the painter's, to draw picture n; turn 2n + 2 is the server's, to show it.
pub fn run(screen: &Framebuffer, pictures: u32) -> Result<(), Error> {
    let before = written();
    for picture in 0..pictures {
        screen.turn().wait_for(2 * picture + 1)?;
        // Relaxed: the turn has ordered it.
        if screen.stop().load(Relaxed) != 0 {
            return Ok(());
        }
        paint(screen, picture);
        screen.sum().store(screen.checksum(), Relaxed);
        let frame = Frame::of(screen.pixels_at())?;
        let written = written().zip(before).map(|(now, before)| now - before);
        let witness = Witness { pid: std::process::id(), frame, written };
        screen.write_note(&serde_json::to_string(&witness).during("write the note")?);
        screen.turn().pass(2 * picture + 2);
    }
    Ok(())
}

fn written() -> Option<u64> {
    Process::myself().and_then(|me| me.io()).ok().map(|io| io.wchar)
}

/// A ball before a sky that shifts.
fn paint(screen: &Framebuffer, picture: u32) {
    let time = picture as usize;
    let radius = (screen.width.min(screen.height) / 5).max(1);
    let ball_x = bounce(time * 2, screen.width, radius);
    let ball_y = bounce(time, screen.height, radius);
    for y in 0..screen.height {
        for x in 0..screen.width {
            let (right, down) = (x.abs_diff(ball_x), y.abs_diff(ball_y));
            let away = right * right + down * down;
            let colour = if away < radius * radius {
                let light = 255 - 150 * away / (radius * radius);
                [light as u8, (light / 2) as u8, 40]
            } else {
                let shade = (x * 160 / screen.width + y * 60 / screen.height + time * 3) % 220;
                [10, (shade / 3) as u8, (40 + shade / 2) as u8]
            };
            screen.set(x, y, colour);
        }
    }
}

/// To and fro between `radius` and `length - radius`.
fn bounce(time: usize, length: usize, radius: usize) -> usize {
    let way = length.saturating_sub(2 * radius).max(1);
    let at = time % (2 * way);
    radius + at.min(2 * way - at)
}
