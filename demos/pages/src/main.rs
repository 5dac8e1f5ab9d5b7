//! `brkmap-pages FOLDER` writes the manual pages of the command `brkmap` (section 1) and its completions for bash, zsh
//! and fish into a folder, from the command line's own definition. `allocator/preload/install` runs it.

use std::error::Error;
use std::path::PathBuf;

use brkmap_tool::cli::Cli;
use clap::CommandFactory;
use clap_complete::Shell;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: brkmap-pages FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "brkmap", &folder)?;
    }
    clap_mangen::generate_to(Cli::command(), &folder)?;
    Ok(())
}
