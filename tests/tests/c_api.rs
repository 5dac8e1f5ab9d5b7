//! The C functions' promises, each run in a program of its own under the preload library.

use brkmap_tests::program::{self, Front};

macro_rules! tests {
    ($($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                Front::Preload.check(&["c-api", stringify!($case)]);
            }
        )*
    };
}
brkmap_tests::c_api_cases!(tests);

macro_rules! names {
    ($($case:ident,)*) => {
        const SIZED: &[&str] = &[$(stringify!($case)),*];
    };
}
brkmap_tests::c_sized_cases!(names);

#[test]
fn a_rust_program_with_the_feature_override_keeps_them_all() {
    let target = program::binary("").join("override");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // A target directory of its own: the feature must not reach the other programs.
    let built = std::process::Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "-p",
            "brkmap-tests",
            "--features",
            "override",
            "--bin",
            "exercise-override",
        ])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(program::root())
        .status()
        .expect("cargo");
    assert!(built.success(), "exercise-override does not build");
    let program = target.join("debug/exercise-override");
    let mut all = std::process::Command::new(&program);
    // A function libc does not know cannot be found in a program by name, only in a library.
    all.args(["c-api", "all", "but", "sized_frees_free", "cfree_frees"]).args(SIZED);
    program::run(all).expect_success("the C functions in a program with `override`");
    let mut storm = std::process::Command::new(&program);
    storm.args(["storm", "4", "20000", "9"]);
    program::run(storm).expect_success("a storm in a program with `override`");
    for size in ["16", "1000"] {
        let mut stamped = std::process::Command::new(&program);
        stamped.args(["stamped", size]);
        program::run(stamped).expect_success("blocks of both fronts that look like free ones");
    }
}
