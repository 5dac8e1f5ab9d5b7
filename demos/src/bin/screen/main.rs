//! A framebuffer shared by two processes, in the manner of an X server: the client draws into it,
//! the server shows it in the terminal and keeps the last picture as a PNG.

use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::framebuffer::Framebuffer;
use brkmap_base::error::{During, Error};
use brkmap_demos::child::Child;
use brkmap_demos::interrupt::Watch;
use brkmap_demos::program::run;
use brkmap_demos::proof::frames::Frame;
use brkmap_demos::report::{Form, Report};
use clap::Parser;
use painter::Witness;

mod framebuffer;
mod painter;
mod terminal;

const EXAMPLES: &str = "\
Examples:
  brkmap demo screen
  brkmap demo screen --width 100 --pictures 200 --png last.png";

#[derive(Parser)]
#[command(name = "screen", version, about = "One process draws, another shows", after_help = EXAMPLES)]
struct Cli {
    /// How many points the picture has side by side
    #[arg(long, default_value_t = 72, value_parser = clap::value_parser!(u32).range(1..=4096))]
    width: u32,
    /// And one above the other
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=4096))]
    height: u32,
    /// How many pictures are drawn; Ctrl-C ends it earlier
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pictures: u32,
    /// Pictures a second, on a terminal; elsewhere there is no waiting
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Keep the last picture in this file
    #[arg(long)]
    png: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(|cli: Cli| {
        let png = cli.png.as_deref().map(create).transpose()?;
        let signals = Watch::start()?;
        let mut report = Report::new("screen", Form::of(cli.json));
        let screen = Framebuffer::new(cli.width as usize, cli.height as usize)?;
        report.step(format!(
            "{} x {} pixels, MAP_SHARED|MAP_ANONYMOUS; fork the painter",
            cli.width, cli.height
        ));
        // SAFETY: this program has started no thread.
        let painter = unsafe { Child::start(|| painter::run(&screen, cli.pictures)) }?;
        let shown = serve(&screen, &cli, &signals)?;
        painter.join()?;
        claims(&mut report, &screen, &shown)?;
        if let Some((path, file)) = png {
            keep(&mut report, &screen, path, file)?;
        }
        report.finish()
    })
}

/// What the server saw.
struct Shown {
    pictures: u32,
    /// Pictures whose pixels were not those that the painter had drawn.
    torn: u32,
    witness: Witness,
    last: String,
}

fn serve(screen: &Framebuffer, cli: &Cli, signals: &Watch) -> Result<Shown, Error> {
    let live = !cli.json && std::io::stdout().is_terminal();
    let colour = terminal::has_colour();
    let mut shown = None;
    let mut torn = 0;
    for picture in 0..cli.pictures {
        screen.turn().pass(2 * picture + 1);
        screen.turn().wait_for(2 * picture + 2)?;
        torn += u32::from(screen.checksum() != screen.sum().load(Relaxed));
        let text = terminal::picture(screen, colour);
        if live {
            terminal::show(&text, picture > 0)?;
        }
        let witness: Witness = serde_json::from_str(&screen.read_note()).during("read the painter's note")?;
        shown = Some(Shown { pictures: picture + 1, torn, witness, last: text });
        let rest = if live { Duration::from_secs(1) / cli.rate } else { Duration::ZERO };
        if signals.pause(rest).is_err() {
            // Relaxed: the turn passed after it orders it.
            screen.stop().store(1, Relaxed);
            screen.turn().pass(2 * (picture + 1) + 1);
            break;
        }
    }
    let shown = shown.expect("there is one picture at least");
    if !live && !cli.json {
        terminal::show(&shown.last, false)?;
    }
    Ok(shown)
}

fn claims(report: &mut Report, screen: &Framebuffer, shown: &Shown) -> Result<(), Error> {
    let Shown { pictures, torn, witness, .. } = shown;
    report.step(format!("{pictures} pictures shown"));
    report.fact("pictures", pictures);
    report.claim(
        *torn == 0,
        "each was shown as it was drawn",
        format!("checksums by process {} and by {}: {torn} differ", witness.pid, std::process::id()),
    );
    let ours = Frame::of(screen.pixels_at())?;
    let why = format!("painter: {}, server: {ours}", witness.frame);
    let same = witness.frame.same_as(ours);
    report.claim_or_skip("both have the first pixel in one frame of memory", same.map(|same| (same, why)));
    let bytes = screen.width * screen.height * 4 * *pictures as usize;
    let seen = witness.written.ok_or_else(|| "this kernel has no /proc/self/io".to_owned());
    report.claim_or_skip(
        "the painter sent no byte: it only stored",
        seen.map(|written| {
            (
                written == 0,
                format!("/proc/self/io: {written} bytes written by calls, {bytes} stored as pixels"),
            )
        }),
    );
    Ok(())
}

fn create(path: &Path) -> Result<(&Path, File), Error> {
    let file = File::create(path).map_err(|error| {
        Error::usage(format!("--png {}: {error}; name a file that can be written", path.display()))
    })?;
    Ok((path, file))
}

fn keep(report: &mut Report, screen: &Framebuffer, path: &Path, file: File) -> Result<(), Error> {
    report.step(format!("the last picture as {}", path.display()));
    let pixels = screen.to_rgb();
    let mut encoder = png::Encoder::new(BufWriter::new(file), screen.width as u32, screen.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().during("write the PNG")?;
    writer.write_image_data(&pixels).during("write the PNG")?;
    writer.finish().during("write the PNG")?;

    let file = File::open(path).during("open the PNG")?;
    let mut reader = png::Decoder::new(BufReader::new(file)).read_info().during("read the PNG")?;
    let mut read = vec![0; reader.output_buffer_size().unwrap_or(0)];
    reader.next_frame(&mut read).during("read the PNG")?;
    report.claim(
        read == pixels,
        "read back, it has the same pixels",
        format!("{} bytes compared", pixels.len()),
    );
    Ok(())
}
