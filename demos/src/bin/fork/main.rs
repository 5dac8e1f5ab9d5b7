//! A parent and its child: what MAP_SHARED shares, what MAP_PRIVATE copies.

use std::process::ExitCode;

use brkmap_demos::report::{Form, Report};
use brkmap_demos::trouble::run;
use clap::Parser;

mod messages;

#[derive(Parser)]
#[command(name = "fork", version, about = "Parent and child over anonymous mappings")]
struct Cli {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(|| {
        let cli = Cli::parse();
        let mut report = Report::new("fork", Form::of(cli.json));
        messages::shared(&mut report)?;
        messages::private(&mut report)?;
        Ok(report.finish())
    })
}
