//! Compares allocators by whole processes: `cargo run --release -p brkmap-benches --bin matrix`.

use std::process::ExitCode;

use brkmap_benches::matrix;
use clap::Parser;

fn main() -> ExitCode {
    let options = matrix::cli::Options::parse();
    if options.list {
        print!("{}", matrix::cli::list());
        return ExitCode::SUCCESS;
    }
    let done = if options.render { matrix::render(&options).map(|()| true) } else { matrix::run(&options) };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("matrix: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
