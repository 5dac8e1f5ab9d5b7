//! Building with cargo what is to be measured.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A failure's reason, fit for one line.
type Result<T> = std::result::Result<T, String>;

/// The load for an allocator. Without the default features: a load needs nothing of the matrix.
///
/// Cargo puts each of them into the same place, so it is kept under a name of its own, and asked whose it is.
pub fn load(name: &str, feature: Option<&str>, profile: &str) -> Result<PathBuf> {
    load_for(None, name, feature, profile)
}

/// The same for musl, which is linked in.
pub fn static_load(name: &str, feature: Option<&str>, profile: &str) -> Result<PathBuf> {
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let library =
        text(Command::new("rustc").args(["--print", "target-libdir", "--target", &triple]).output());
    if !library.is_some_and(|folder| Path::new(&folder).is_dir()) {
        return Err(format!("there is no Rust for {triple} here (rustup target add {triple})"));
    }
    // What crates with C in them look for.
    let compilers = [format!("{}-linux-musl-gcc", std::env::consts::ARCH), "musl-gcc".to_owned()];
    let is_c = feature == Some("mimalloc");
    if is_c && !compilers.iter().any(|name| text(Command::new(name).arg("--version").output()).is_some()) {
        return Err("there is no C compiler for musl here (Debian package musl-tools)".into());
    }
    load_for(Some(&triple), name, feature, profile)
}

fn load_for(triple: Option<&str>, name: &str, feature: Option<&str>, profile: &str) -> Result<PathBuf> {
    let mut arguments = vec!["-p", "brkmap-benches", "--no-default-features", "--bin", "load"];
    if let Some(feature) = feature {
        arguments.extend(["--features", feature]);
    }
    let mut path = target().join(folder(profile));
    let kept = path.join(triple.map_or_else(|| format!("load-{name}"), |_| format!("load-static-{name}")));
    let _alone = alone(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if let Some(triple) = triple {
        arguments.extend(["--target", triple]);
        path = target().join(triple).join(folder(profile));
    }
    let built = built(&arguments, &path.join("load"), profile, &kept)?;
    keep(&built, &kept).map_err(|error| format!("the load cannot be kept: {error}"))?;
    let said = text(Command::new(&kept).arg("allocator").output()).unwrap_or_default();
    // musl's own is the system's there.
    let wanted = if name == "musl" { "system" } else { name };
    if said == wanted { Ok(kept) } else { Err(format!("the load that was built has `{said}`")) }
}

/// Until it is dropped, no other matrix builds a load there.
fn alone(folder: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("load.lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// By a rename, so that one that runs stays as it is.
fn keep(built: &Path, kept: &Path) -> std::io::Result<()> {
    let fresh = kept.with_extension("new");
    std::fs::copy(built, &fresh)?;
    std::fs::rename(fresh, kept)
}

/// libbrkmap.so.
pub fn preload(profile: &str) -> Result<PathBuf> {
    let library = target().join(folder(profile)).join("libbrkmap.so");
    built(&["-p", "brkmap-preload", "--lib"], &library, profile, &library)
}

/// `wanted` is what is announced where it is missing.
fn built(arguments: &[&str], path: &Path, profile: &str, wanted: &Path) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--profile", profile, "--target-dir"]).arg(target()).args(arguments);
    if !wanted.exists() {
        let name = wanted.file_name().unwrap_or_default().display();
        eprintln!("matrix: {name} is not there yet: cargo build --profile {profile} {}", arguments.join(" "));
    }
    let output = command.output().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("it could not be built: {}", complaint(&output.stderr)));
    }
    if path.exists() { Ok(path.to_owned()) } else { Err(format!("cargo made no {}", path.display())) }
}

/// Where in the target directory a profile's files are.
fn folder(profile: &str) -> &str {
    if profile == "dev" { "debug" } else { profile }
}

/// What stands first in the compiler's or the build script's complaint.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = || text.lines().map(str::trim);
    let telling = lines().find(|line| line.contains("is `") && line.contains("not installed"));
    let error = || lines().find(|line| line.starts_with("error"));
    telling.or_else(error).or_else(|| lines().next_back()).unwrap_or("no reason given").to_owned()
}

/// The target directory that this program was built into.
pub fn target() -> PathBuf {
    let this = std::env::current_exe().ok();
    let profile = this.as_deref().and_then(Path::parent);
    profile.and_then(Path::parent).map_or_else(|| root().join("target"), Path::to_owned)
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace")
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// The version of a crate in the lock file.
pub fn version(package: &str) -> String {
    let output = cargo().args(["pkgid", "--offline", "-p", package]).output();
    text(output).and_then(|id| version_in(&id)).unwrap_or_default()
}

/// `registry+…#mimalloc@0.1.52` and `path+…/allocator#brkmap@0.1.0` end in the version; where folder and
/// crate have one name it stands alone.
fn version_in(id: &str) -> Option<String> {
    let end = id.rsplit(['@', '#']).next()?;
    end.starts_with(|c: char| c.is_ascii_digit()).then(|| end.split('+').next().unwrap_or(end).to_owned())
}

pub fn debian_version(package: &str) -> String {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
    text(output).unwrap_or_default()
}

/// What a command said, when it ended well.
pub fn text(output: std::io::Result<Output>) -> Option<String> {
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_end_of_a_package_id() {
        assert_eq!(version_in("registry+https://an.index#mimalloc@0.1.52").as_deref(), Some("0.1.52"));
        assert_eq!(version_in("path+file:///x/brkmap#0.1.0").as_deref(), Some("0.1.0"));
        assert_eq!(
            version_in("registry+https://an.index#smmalloc@7.6.13+59fa8012").as_deref(),
            Some("7.6.13")
        );
        assert_eq!(version_in("nothing"), None);
    }

    #[test]
    fn only_the_dev_profile_has_a_folder_of_another_name() {
        assert_eq!((folder("dev"), folder("release")), ("debug", "release"));
    }

    #[test]
    fn a_failed_build_is_told_by_its_first_error() {
        let stderr = b"warning: x\nerror: failed to run custom build command for `a`\n  more\n";
        assert_eq!(complaint(stderr), "error: failed to run custom build command for `a`");
        assert_eq!(complaint(b""), "no reason given");
    }
}
