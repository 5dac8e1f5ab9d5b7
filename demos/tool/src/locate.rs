//! Finding the library and the other programs: beside this program, where `allocator/preload/install` puts them, or by
//! building them in the workspace.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use brkmap_base::error::{Error, Result};

use crate::console;

/// A file that a cargo target makes.
struct Artifact<'a> {
    package: &'a str,
    target: &'a str,
    file: String,
    selection: Vec<&'a str>,
    profile: &'a str,
}

/// The library as cargo makes it, and as it is installed.
const LIBRARY: &str = "libbrkmap.so";
const SONAME: &str = "libbrkmap.so.0";

/// libbrkmap.so.
pub fn preload(given: Option<&Path>) -> Result<PathBuf> {
    let file = LIBRARY.to_owned();
    find(
        given,
        &Artifact {
            package: "brkmap-preload",
            target: "brkmap",
            file,
            selection: vec!["--lib"],
            profile: "release",
        },
    )
}

/// The probe whose global allocator is brkmap.
pub fn rust_probe(given: Option<&Path>) -> Result<PathBuf> {
    find(given, &binary("brkmap-probe", "probe", "release"))
}

/// A demo program. Its profile is without the link-time optimisation that the library needs.
pub fn demo(name: &str) -> Result<PathBuf> {
    find(None, &binary("brkmap-demos", name, "demo"))
}

fn binary<'a>(package: &'a str, name: &'a str, profile: &'a str) -> Artifact<'a> {
    Artifact { package, target: name, file: name.into(), selection: vec!["--bin", name], profile }
}

fn find(given: Option<&Path>, artifact: &Artifact<'_>) -> Result<PathBuf> {
    if let Some(path) = given {
        let missing = |error| Error::Usage(format!("{} cannot be opened: {error}", path.display()));
        return path.canonicalize().map_err(missing);
    }
    let this = std::env::current_exe().map_err(Error::during("cannot find this program's file"))?;
    if let Some(prefix) = prefix(&this) {
        let places = installed(prefix, &artifact.file);
        let found = places.into_iter().find(|file| file.is_file());
        return found.map_or_else(|| build(artifact, Reason::Missing), Ok);
    }
    let beside = this.with_file_name(&artifact.file);
    // A profile has a folder in the target directory. What is in that of the release, a debug build of this program
    // does not take without asking cargo.
    let own = this.ancestors().nth(2).filter(|_| artifact.profile != "release");
    let own = own.map(|target| target.join(artifact.profile).join(&artifact.file));
    let Some(beside) = [Some(beside), own].into_iter().flatten().find(|file| file.is_file()) else {
        return build(artifact, Reason::Missing);
    };
    // `cargo run` builds this program anew and nothing beside it: what is older can be from before a
    // change, and the table would show another allocator's choices. Cargo knows; it is quick to ask.
    if older(&beside, &this) && workspace().is_some() {
        return Ok(build(artifact, Reason::Older).unwrap_or_else(|error| {
            console::note(format!("{error}; the one that is there is used"));
            beside
        }));
    }
    Ok(beside)
}

/// PREFIX, for a program that is installed as PREFIX/bin/brkmap. Beside it are the programs of others.
fn prefix(this: &Path) -> Option<&Path> {
    this.parent().filter(|folder| folder.ends_with("bin"))?.parent()
}

/// Where `allocator/preload/install` puts a file.
fn installed(prefix: &Path, file: &str) -> Vec<PathBuf> {
    if file != LIBRARY {
        return vec![prefix.join("libexec/brkmap").join(file)];
    }
    let triplet = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    [triplet.as_str(), "lib64", "lib"].map(|folder| prefix.join(folder).join(SONAME)).into()
}

/// Why cargo is asked: a first build is announced, a check is not.
#[derive(Clone, Copy, PartialEq)]
enum Reason {
    Missing,
    Older,
}

fn older(file: &Path, than: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    matches!((modified(file), modified(than)), (Some(file), Some(than)) if file < than)
}

/// One cargo run for one artifact: built together, packages would get each other's features.
fn build(artifact: &Artifact<'_>, reason: Reason) -> Result<PathBuf> {
    let root = workspace().ok_or_else(|| {
        let file = &artifact.file;
        Error::Failed(format!(
            "{file} is neither beside this program nor installed with it, and there is no workspace to build it in"
        ))
    })?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    let options =
        if artifact.profile == "release" { vec!["--release"] } else { vec!["--profile", artifact.profile] };
    command
        .current_dir(root)
        .arg("build")
        .args(&options)
        .args(["-p", artifact.package])
        .args(&artifact.selection);
    command.arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stdout(Stdio::piped());
    let (options, selection) = (options.join(" "), artifact.selection.join(" "));
    let line = format!("cargo build {options} -p {} {selection}", artifact.package);
    match reason {
        Reason::Missing => console::note(format!("{} is not there yet: {line}", artifact.file)),
        Reason::Older => drop(command.arg("--quiet")),
    }
    let mut running = command.spawn().map_err(|error| {
        Error::Failed(format!("{} is missing, and cargo cannot be run to build it: {error}", artifact.file))
    })?;
    let messages = BufReader::new(running.stdout.take().expect("stdout is piped"));
    let mut made = None;
    for message in messages.lines().map_while(std::io::Result::ok) {
        made = made_by(&message, artifact).or(made);
    }
    let status = running.wait().map_err(Error::during("cannot wait for cargo"))?;
    match made {
        Some(path) if status.success() => Ok(path),
        _ => Err(Error::Failed(format!("`{line}` did not make {}", artifact.file))),
    }
}

/// Cargo's own word for where it put the file: the target directory can be anywhere.
fn made_by(message: &str, artifact: &Artifact<'_>) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" || message["target"]["name"] != artifact.target {
        return None;
    }
    let files = message["filenames"].as_array()?.iter().filter_map(|file| file.as_str());
    files.map(PathBuf::from).find(|file| file.file_name().is_some_and(|name| *name == *artifact.file))
}

fn workspace() -> Option<&'static Path> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.parent()?;
    root.join("Cargo.toml").is_file().then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_messages_name_the_file() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"probe","kind":["bin"]},
            "filenames":["/t/release/probe"],"executable":"/t/release/probe"}"#;
        assert_eq!(
            made_by(message, &binary("brkmap-probe", "probe", "release")),
            Some("/t/release/probe".into())
        );
        assert_eq!(made_by(message, &binary("brkmap-demos", "share", "demo")), None);
        assert_eq!(made_by("not json", &binary("brkmap-probe", "probe", "release")), None);
        assert_eq!(
            made_by(r#"{"reason":"build-finished"}"#, &binary("brkmap-probe", "probe", "release")),
            None
        );
    }

    #[test]
    fn an_installed_program_looks_below_its_prefix() {
        let prefix = prefix(Path::new("/opt/b/bin/brkmap")).unwrap();
        assert_eq!(installed(prefix, "probe"), [Path::new("/opt/b/libexec/brkmap/probe")]);
        assert!(installed(prefix, LIBRARY).contains(&"/opt/b/lib/libbrkmap.so.0".into()));
        assert!(super::prefix(Path::new("/t/release/brkmap")).is_none());
    }

    #[test]
    fn a_given_path_that_is_not_there_is_a_usage_error() {
        let error = rust_probe(Some(Path::new("/no/such/probe"))).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("/no/such/probe"));
    }
}
