//! The progress bar of long work: on stderr, and only when that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub fn bar(steps: u64, label: &'static str) -> ProgressBar {
    // stderr's target draws nothing unless stderr is a terminal; no colours, so NO_COLOR holds.
    let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:24} [{bar:30}] {pos}/{len}  {elapsed}")
        .expect("the template is a constant")
        .progress_chars("=> ");
    bar.with_style(style).with_message(label)
}
