//! Pixels as characters: two a character in colour, one where there is no colour.

use std::fmt::Write as _;

use crate::framebuffer::Framebuffer;
use anstream::ColorChoice;
use brkmap_base::error::Result;
use brkmap_base::output;

/// From dark to light.
const SHADES: &[u8] = b" .:-=+*#%@";

pub fn picture(screen: &Framebuffer, colour: bool) -> String {
    if colour { coloured(screen) } else { shaded(screen) }
}

/// Whether stdout takes colours (a terminal, and no NO_COLOR).
pub fn has_colour() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
}

fn coloured(screen: &Framebuffer) -> String {
    let mut text = String::new();
    for y in (0..screen.height).step_by(2) {
        for x in 0..screen.width {
            let [r, g, b] = screen.get(x, y);
            let [lower_r, lower_g, lower_b] =
                if y + 1 < screen.height { screen.get(x, y + 1) } else { [0; 3] };
            let _ = write!(text, "\x1b[38;2;{r};{g};{b}m\x1b[48;2;{lower_r};{lower_g};{lower_b}m▀");
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

/// A character is about twice as high as it is wide: every other row does.
fn shaded(screen: &Framebuffer) -> String {
    let mut text = String::new();
    for y in (0..screen.height).step_by(2) {
        for x in 0..screen.width {
            let light = screen.get(x, y).into_iter().map(usize::from).sum::<usize>() / 3;
            text.push(SHADES[(light * 2).min(255) * (SHADES.len() - 1) / 255] as char);
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// Over the last picture, if there was one.
pub fn show(text: &str, again: bool) -> Result<()> {
    let up = if again { format!("\x1b[{}A", text.lines().count()) } else { String::new() };
    output::raw(format_args!("{up}{text}"))
}
