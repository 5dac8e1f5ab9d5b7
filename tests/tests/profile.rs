//! The heap profile of whole programs: what is written is read by others' code, and is the truth; nothing that programs
//! do meanwhile hangs or crashes.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use brkmap_tests::program::{Ended, Front, opened, run};
use brkmap_tests::{skip, soak};
use prost::Message;

/// profile.proto of pprof, as far as it is looked at.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Profile {
        #[prost(message, repeated, tag = "1")]
        pub sample_type: Vec<ValueType>,
        #[prost(message, repeated, tag = "2")]
        pub sample: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub mapping: Vec<Mapping>,
        #[prost(message, repeated, tag = "4")]
        pub location: Vec<Location>,
        #[prost(string, repeated, tag = "6")]
        pub string_table: Vec<String>,
        #[prost(int64, tag = "9")]
        pub time_nanos: i64,
        #[prost(message, optional, tag = "11")]
        pub period_type: Option<ValueType>,
        #[prost(int64, tag = "12")]
        pub period: i64,
        #[prost(int64, tag = "14")]
        pub default_sample_type: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ValueType {
        #[prost(int64, tag = "1")]
        pub kind: i64,
        #[prost(int64, tag = "2")]
        pub unit: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Sample {
        #[prost(uint64, repeated, tag = "1")]
        pub location_id: Vec<u64>,
        #[prost(int64, repeated, tag = "2")]
        pub value: Vec<i64>,
        #[prost(message, repeated, tag = "3")]
        pub label: Vec<Label>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Label {
        #[prost(int64, tag = "1")]
        pub key: i64,
        #[prost(int64, tag = "3")]
        pub num: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Mapping {
        #[prost(uint64, tag = "1")]
        pub id: u64,
        #[prost(uint64, tag = "2")]
        pub memory_start: u64,
        #[prost(uint64, tag = "3")]
        pub memory_limit: u64,
        #[prost(int64, tag = "5")]
        pub filename: i64,
        #[prost(int64, tag = "6")]
        pub build_id: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Location {
        #[prost(uint64, tag = "1")]
        pub id: u64,
        #[prost(uint64, tag = "2")]
        pub mapping_id: u64,
        #[prost(uint64, tag = "3")]
        pub address: u64,
    }
}

use proto::Profile;

fn read(path: &Path) -> Profile {
    let mut bytes = std::fs::read(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    if path.extension().is_some_and(|ending| ending == "gz") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).expect("gzip");
        bytes = plain;
    }
    Profile::decode(&bytes[..]).expect("a profile")
}

impl Profile {
    fn text(&self, at: i64) -> &str {
        &self.string_table[at as usize]
    }

    /// The sums of the values of the samples whose stack goes through a function that begins here. Another one may
    /// follow it.
    fn of_function(&self, start: usize, other: usize) -> [f64; 5] {
        let end = if other > start { other.min(start + 120) } else { start + 120 };
        let inside = |address: u64| (start..end).contains(&(address as usize));
        let places: Vec<u64> =
            self.location.iter().filter(|place| inside(place.address)).map(|place| place.id).collect();
        let mut sums = [0.0; 5];
        for sample in self.sample.iter().filter(|one| one.location_id.iter().any(|id| places.contains(id))) {
            sums.iter_mut().zip(&sample.value).for_each(|(sum, value)| *sum += *value as f64);
        }
        sums
    }

    /// What every profile must be.
    fn check(&self) {
        let kinds: Vec<_> =
            self.sample_type.iter().map(|kind| (self.text(kind.kind), self.text(kind.unit))).collect();
        let expected = [
            ("alloc_objects", "count"),
            ("alloc_space", "bytes"),
            ("inuse_objects", "count"),
            ("inuse_space", "bytes"),
            ("inuse_requested", "bytes"),
        ];
        assert_eq!(kinds, expected);
        assert_eq!((self.text(0), self.text(self.default_sample_type)), ("", "inuse_space"));
        assert!(self.period > 0 && self.time_nanos > 1_600_000_000_000_000_000);
        for sample in &self.sample {
            assert_eq!(sample.value.len(), 5);
            assert_eq!(self.text(sample.label[0].key), "bytes");
            let [objects, space, live, live_space, asked] = sample.value[..] else { panic!("five values") };
            assert!(
                objects > 0 && live <= objects && live_space <= space && asked <= live_space,
                "{sample:?}"
            );
            for id in &sample.location_id {
                assert_eq!(self.location.iter().filter(|place| place.id == *id).count(), 1);
            }
        }
        for place in self.location.iter().filter(|place| place.mapping_id != 0) {
            let mapping = &self.mapping[place.mapping_id as usize - 1];
            assert!((mapping.memory_start..mapping.memory_limit).contains(&place.address));
            assert_eq!(mapping.id, place.mapping_id);
        }
    }
}

/// A scenario under a profile that goes to a file of this name in a folder of its own.
fn profiled(front: Front, arguments: &[&str], settings: &str, name: &str) -> (Ended, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join(name);
    let mut command = front.exercise(arguments);
    command.env("BRKMAP_CONF", format!("{settings},profile_out:{}", out.display()));
    let ended = run(command);
    ended.expect_success(&format!("{arguments:?} on {front:?}, profiled"));
    (ended, folder)
}

/// Six standard deviations of a sum of so many samples.
fn is_near(got: f64, truth: f64, rate: f64) -> bool {
    (got - truth).abs() <= 6.0 * (truth * rate).sqrt()
}

/// Bytes of the class that serves the sites' 200.
const CLASS: f64 = 208.0;
const RATE: f64 = 16384.0;

fn sites_get_what_they_allocated(order: &str) {
    for front in Front::BOTH {
        let (ended, folder) =
            profiled(front, &["profiled-sites", order, "100000"], "profile:16K", "heap.pb.gz");
        let profile = read(&folder.path().join("heap.pb.gz"));
        profile.check();
        let numbers = ended.numbers("sites");
        let [short, long, rounds, kept] = numbers[..] else { panic!("{numbers:?}") };
        let (allocated, kept) = (rounds as f64 * CLASS, kept as f64 * CLASS);
        let [_, space, live, ..] = profile.of_function(short, long);
        assert!(is_near(space, allocated, RATE), "{order} on {front:?}: short {space} of {allocated}");
        assert_eq!(live, 0.0, "{order} on {front:?}");
        let [_, space, _, live, asked] = profile.of_function(long, short);
        assert!(is_near(space, allocated, RATE), "{order} on {front:?}: long {space} of {allocated}");
        assert!(is_near(live, kept, RATE), "{order} on {front:?}: live {live} of {kept}");
        assert!((asked / live - 200.0 / CLASS).abs() < 0.001, "{asked} of {live} were asked for");
    }
}

#[test]
fn a_site_of_short_lives_first_gets_what_it_allocated() {
    sites_get_what_they_allocated("sl");
}

#[test]
fn a_site_of_short_lives_behind_gets_what_it_allocated() {
    sites_get_what_they_allocated("ls");
}

#[test]
fn the_crates_functions_write_all_forms_of_one_profile() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let ended = run(Front::Rust.exercise(&["profiled-by-functions", folder.path().to_str().expect("text")]));
    let numbers = ended.numbers("by functions");
    let [short, long, count, kept] = numbers[..] else { panic!("{numbers:?}") };
    let (plain, packed) = (read(&at("plain.pb")), read(&at("packed.pb.gz")));
    plain.check();
    assert_eq!(plain.sample, packed.sample);
    let len = |name: &str| std::fs::metadata(at(name)).expect("a file").len();
    // What fits a page is not compressed: 10 bytes before it, a block's 5, and 8 of sums.
    let most = if len("plain.pb") > 4096 { len("plain.pb") } else { len("plain.pb") + 24 };
    assert!(len("packed.pb.gz") < most);
    let here = plain
        .mapping
        .iter()
        .find(|mapping| (mapping.memory_start..mapping.memory_limit).contains(&(short as u64)));
    let here = here.expect("the program's own mapping");
    assert!(plain.text(here.filename).ends_with("exercise-rust"), "{here:?}");
    // Stopped before the blocks were freed, and before the last ones were allocated.
    let [_, space, live, ..] = plain.of_function(short, long);
    assert!(is_near(space, count as f64 * CLASS, 4096.0) && live == 0.0, "{space} {live}");
    let [.., live, _] = plain.of_function(long, short);
    assert!(is_near(live, kept as f64 * CLASS, 4096.0), "{live}");
    let text = std::fs::read_to_string(at("dhat.json")).expect("JSON");
    let dhat: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&dhat["dhatFileVersion"], &dhat["mode"]), (&2.into(), &"heap".into()));
    let frames = dhat["ftbl"].as_array().expect("frames").len() as u64;
    let stacks = dhat["pps"].as_array().expect("stacks");
    let sum = |name: &str| stacks.iter().map(|stack| stack[name].as_u64().expect("a number")).sum::<u64>();
    assert!(stacks.iter().all(|stack| {
        let numbers = stack["fs"].as_array().expect("a stack");
        !numbers.is_empty() && numbers.iter().all(|number| (1..frames).contains(&number.as_u64().unwrap()))
    }));
    let of = |at: usize| plain.sample.iter().map(|sample| sample.value[at] as u64).sum::<u64>();
    let close = |one: u64, other: u64| one.abs_diff(other) <= plain.sample.len() as u64;
    assert!(close(sum("tb"), of(1)) && close(sum("eb"), of(3)), "the same in both forms");
    assert!(sum("gb") >= sum("eb") && sum("mb") >= sum("eb"));
}

#[test]
fn gos_own_tool_reads_it() {
    let Some(go) = skip::tool("go") else { return };
    let (_, folder) =
        profiled(Front::Preload, &["profiled-sites", "sl", "20000"], "profile:16K", "heap.pb.gz");
    let mut command = Command::new(go);
    command.args(["tool", "pprof", "-raw"]).arg(folder.path().join("heap.pb.gz"));
    command.env("HOME", folder.path());
    let ended = run(command);
    ended.expect_success("go tool pprof");
    let text = String::from_utf8_lossy(&ended.stdout);
    let heads = "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes[dflt] inuse_requested/bytes";
    assert!(text.contains(heads) && text.contains("Mappings"), "{text}");
}

#[test]
fn profiles_begin_and_end_while_threads_run() {
    for front in [Front::Rust] {
        let folder = tempfile::tempdir().expect("a folder");
        front.check(&["profiled-threads", folder.path().to_str().expect("text")]);
        let profile = read(&folder.path().join("threads.pb"));
        profile.check();
        let (mut seen, mut live) = (0, 0);
        for sample in &profile.sample {
            seen += sample.value[0];
            // Blocks of the threads' own: std's are of other sizes, or live on.
            live += if sample.label[0].num == CLASS as i64 { sample.value[2] } else { 0 };
        }
        assert!(seen > 10_000, "{seen}");
        assert_eq!(live, 0, "all was freed, by whichever thread");
    }
}

#[test]
fn libraries_come_and_go_while_a_profile_is_taken() {
    let times = soak::rounds(2_000, 100_000).to_string();
    let library = opened();
    for front in Front::BOTH {
        let arguments = ["profiled-dlopened", library.to_str().expect("text"), &times];
        let (_, folder) = profiled(front, &arguments, "profile:1K", "heap.pb");
        read(&folder.path().join("heap.pb")).check();
    }
}

#[test]
fn another_profiler_interrupts_it() {
    for front in Front::BOTH {
        let (_, folder) = profiled(front, &["profiled-beside-sigprof"], "profile:64", "heap.pb");
        read(&folder.path().join("heap.pb")).check();
    }
}

#[test]
fn what_other_tests_do_goes_well_under_a_profile() {
    let scenarios: [&[&str]; 9] = [
        &["storm", "4", "4000", "1"],
        &["fork-storm"],
        &["children", "fork", "50"],
        &["children-in-signals", "2"],
        &["churn"],
        &["pair"],
        &["two-hundred"],
        &["tls-destructors"],
        &["small-stack", "20"],
    ];
    for front in Front::BOTH {
        for scenario in scenarios {
            // Each block a sample, and few of them. What threads keep is bounded beside what swings.
            for rate in ["1", "20000"] {
                profiled(front, scenario, &format!("profile:{rate},swing:0"), "heap.%p.pb");
            }
        }
    }
}

#[test]
fn a_signal_has_a_file_written_each_time() {
    for front in Front::BOTH {
        let settings = "profile:1,profile_at:SIGUSR2";
        let (_, folder) = profiled(front, &["profiled-waiting"], settings, "heap.%n.pb");
        for name in ["heap.1.pb", "heap.2.pb"] {
            read(&folder.path().join(name)).check();
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "none at exit");
    }
}

#[test]
fn the_peak_is_what_was_live_when_most_was() {
    for front in Front::BOTH {
        let of = |at: &str| {
            let (_, folder) =
                profiled(front, &["profiled-peak"], &format!("profile:4K,profile_at:{at}"), "heap.pb");
            let profile = read(&folder.path().join("heap.pb"));
            profile.check();
            let own = profile.sample.iter().filter(|sample| sample.label[0].num == CLASS as i64);
            own.map(|sample| sample.value[3] as f64).sum::<f64>()
        };
        let peak = of("peak");
        assert!(is_near(peak, 20_000.0 * CLASS, 4096.0), "{front:?}: {peak}");
        assert!(of("exit") < 20_000.0 * CLASS / 10.0);
    }
}

#[test]
fn a_file_that_cannot_be_written_is_told_of() {
    let mut command = Front::Preload.exercise(&["small"]);
    command.env("BRKMAP_CONF", "profile:1,profile_out:/no/such/folder/heap.pb");
    let ended = run(command);
    ended.expect_success("the program itself ends well");
    let said = String::from_utf8_lossy(&ended.stderr);
    let line = "brkmap: the profile /no/such/folder/heap.pb was not written: there is no such folder\n";
    assert_eq!(said, line);
}
