//! A key-value store in a mapped file, from the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::store::Store;
use brkmap_base::error::Error;
use brkmap_base::output;
use brkmap_demos::program::run;
use brkmap_demos::report::{Form, SCHEMA};
use clap::{Parser, Subcommand};
use serde_json::{Value, json};

mod demo;
mod store;
mod torture;
mod worker;

const EXAMPLES: &str = "\
Examples:
  brkmap demo store
  brkmap demo store put FILE colour blue
  brkmap demo store get FILE colour
  brkmap demo store scan FILE col";

#[derive(Parser)]
#[command(name = "store", version, about = "A memory-mapped key-value file that survives kill -9", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Set KEY to VALUE in FILE, which is made if it is not there
    Put { file: PathBuf, key: String, value: String },
    /// Print the value of KEY
    Get { file: PathBuf, key: String },
    /// Remove KEY
    Delete { file: PathBuf, key: String },
    /// Print all keys that begin with PREFIX, in order, with their values
    Scan {
        file: PathBuf,
        #[arg(default_value = "")]
        prefix: String,
    },
    /// Write the store anew without what is deleted or overwritten
    Compact { file: PathBuf },
    /// Show it on a store of our own: growth, commits, kill -9 (the default)
    Demo {
        /// How often a writer is killed
        #[arg(long, default_value_t = 25)]
        kills: u32,
        /// Decides when
        #[arg(long, default_value_t = 5)]
        seed: u64,
    },
    /// Write to FILE for ever, and say each commit on stdout: what `demo` kills
    #[command(hide = true)]
    Worker { file: PathBuf },
}

fn main() -> ExitCode {
    run(|cli: Cli| {
        let form = Form::of(cli.json);
        match cli.command.unwrap_or(Command::Demo { kills: 25, seed: 5 }) {
            Command::Put { file, key, value } => {
                let mut store = Store::create(&file)?;
                store.put(key.as_bytes(), value.as_bytes())?;
                store.commit()?;
                done(form, json!({"sequence": store.sequence()}), &format!("commit {}", store.sequence()))
            }
            Command::Get { file, key } => {
                let store = Store::view(&file)?;
                let Some(value) = store.get(key.as_bytes()) else { return Ok(missing(&file, &key)) };
                let value = text(&value);
                done(form, json!({"key": key, "value": value}), &value)
            }
            Command::Delete { file, key } => {
                let mut store = Store::open(&file)?;
                if !store.delete(key.as_bytes())? {
                    return Ok(missing(&file, &key));
                }
                store.commit()?;
                done(form, json!({"sequence": store.sequence()}), &format!("commit {}", store.sequence()))
            }
            Command::Scan { file, prefix } => scan(&file, &prefix, form),
            Command::Compact { file } => {
                let store = Store::open(&file)?;
                let before = store.log_len();
                let after = store.compact()?.log_len();
                let said = format!("the log had {before} bytes and has {after}");
                done(form, json!({"log_before": before, "log_after": after}), &said)
            }
            Command::Demo { kills, seed } => demo::run(kills, seed, form),
            Command::Worker { file } => worker::run(&file),
        }
    })
}

fn scan(file: &Path, prefix: &str, form: Form) -> Result<ExitCode, Error> {
    let store = Store::view(file)?;
    let pairs = store.scan(prefix.as_bytes()).map(|(key, value)| (text(key), text(&value)));
    if form == Form::Json {
        let pairs: Vec<Value> = pairs.map(|(key, value)| json!({"key": key, "value": value})).collect();
        return done(form, json!({"pairs": pairs}), "");
    }
    for (key, value) in pairs {
        output::line(format_args!("{key}\t{value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn done(form: Form, mut value: Value, said: &str) -> Result<ExitCode, Error> {
    match form {
        Form::Text => output::line(said)?,
        Form::Json => {
            value["schema"] = SCHEMA.into();
            value["program"] = "store".into();
            output::line(value)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn missing(file: &Path, key: &str) -> ExitCode {
    output::complain(format_args!("no key {key:?} in {}", file.display()));
    ExitCode::FAILURE
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
