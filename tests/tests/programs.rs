//! Real programs say the same on brkmap as on glibc, to the byte.

use std::fs;
use std::path::Path;
use std::process::Command;

use brkmap_tests::program::{self, Ended};
use brkmap_tests::skip;

/// A program to be run twice: in a folder of its own with these files in it.
struct Case<'a> {
    command: &'a [&'a str],
    files: &'a [(&'a str, &'a str)],
    environment: &'a [(&'a str, &'a str)],
    /// A file the program makes, which must be the same too.
    makes: Option<&'a str>,
}

fn run_in(folder: &Path, case: &Case, preloaded: bool) -> Ended {
    // The same path both times: some programs write it into what they make.
    let _ = fs::remove_dir_all(folder);
    fs::create_dir(folder).expect("a folder");
    for (name, content) in case.files {
        fs::write(folder.join(name), content).expect("a file");
    }
    let mut command = Command::new(case.command[0]);
    command.args(&case.command[1..]).current_dir(folder);
    // Nothing of the user's: neither their settings nor their language.
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC");
    command.envs(case.environment.iter().copied());
    if preloaded {
        command.env("LD_PRELOAD", program::preload());
    }
    program::run(command)
}

/// Runs it on glibc and on the library, and compares what it said and made.
fn assert_same(case: &Case) {
    if skip::tool(case.command[0]).is_none() {
        return;
    }
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("here");
    let made = |folder: &Path| case.makes.map(|name| fs::read(folder.join(name)).expect("what it makes"));
    let expected = run_in(&folder, case, false);
    expected.expect_success(&format!("{:?} on glibc", case.command));
    assert!(
        !expected.stdout.is_empty() || case.makes.is_some(),
        "{:?} says nothing to compare",
        case.command
    );
    let expected_file = made(&folder);
    let got = run_in(&folder, case, true);
    got.expect_success(&format!("{:?} under preload", case.command));
    for (what, expected, got) in
        [("stdout", &expected.stdout, &got.stdout), ("stderr", &expected.stderr, &got.stderr)]
    {
        let (expected, got) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(got));
        let line = expected.lines().zip(got.lines()).position(|(a, b)| a != b);
        assert!(
            expected == got,
            "{:?}: {what} differs at line {line:?}:\n{expected}\n--- but\n{got}",
            case.command
        );
    }
    assert!(made(&folder) == expected_file, "{:?} makes another file", case.command);
}

#[test]
fn the_library_is_in_the_programs() {
    let case = Case { command: &["/bin/cat", "/proc/self/maps"], files: &[], environment: &[], makes: None };
    let place = tempfile::tempdir().expect("a folder");
    let maps = run_in(&place.path().join("here"), &case, true);
    let library = program::preload().to_string_lossy();
    assert!(String::from_utf8_lossy(&maps.stdout).contains(&*library), "{library} is not loaded");
}

const PYTHON_WORK: &str = r#"
import collections, hashlib, json, re, threading, sys

def work(seed, results):
    words = []
    for i in range(20000):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        words.append("w%x" % (seed % 5000) * (seed % 7 + 1))
    count = collections.Counter(words)
    text = json.dumps(count, sort_keys=True)
    again = json.loads(re.sub(r"w(\d)", r"v\1", text))
    big = bytearray(3_000_000)
    big[::1000] = b"x" * 3000
    big = bytes(big) * 3
    cycles = []
    for i in range(2000):
        a = {"n": i}
        a["self"] = a
        cycles.append([a] * (i % 50))
    digest = hashlib.sha256(json.dumps(again, sort_keys=True).encode() + big).hexdigest()
    results[threading.current_thread().name] = digest

results = {}
threads = [threading.Thread(target=work, args=(n, results), name="t%d" % n) for n in range(6)]
for t in threads: t.start()
for t in threads: t.join()
for name in sorted(results): print(name, results[name])
print(len("".join(str(i) for i in range(300000))), 3**20000 % 10**30)
"#;

const PYTHON: &str = "/usr/bin/python3";

#[test]
fn python_with_threads() {
    assert_same(&Case {
        command: &[PYTHON, "work.py"],
        files: &[("work.py", PYTHON_WORK)],
        environment: &[("PYTHONHASHSEED", "0")],
        makes: None,
    });
}

#[test]
fn python_with_every_object_from_malloc() {
    assert_same(&Case {
        command: &[PYTHON, "work.py"],
        files: &[("work.py", PYTHON_WORK)],
        environment: &[("PYTHONHASHSEED", "0"), ("PYTHONMALLOC", "malloc")],
        makes: None,
    });
}

#[test]
fn python_with_processes() {
    let text = r#"
import multiprocessing, hashlib

def work(n):
    data = [str(i * n) for i in range(20000)]
    return n, hashlib.md5("".join(sorted(data)).encode()).hexdigest()

if __name__ == "__main__":
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(4) as pool:
            for n, digest in pool.map(work, range(24)):
                print(method, n, digest)
    with multiprocessing.Manager() as manager:
        shared = manager.dict()
        shared["a"] = list(range(1000))
        print(sum(shared["a"]))
"#;
    assert_same(&Case {
        command: &[PYTHON, "pool.py"],
        files: &[("pool.py", text)],
        environment: &[("PYTHONHASHSEED", "0")],
        makes: None,
    });
}

#[test]
fn git() {
    let text = r#"
set -e
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
export GIT_CONFIG_NOSYSTEM=1
/usr/bin/git init -q -b main repo && cd repo
for round in 1 2 3 4 5; do
  for file in $(seq 60); do seq $((round * file)) $((round * file + 3000)) >"file$file"; done
  /usr/bin/git add -A && /usr/bin/git commit -q -m "round $round"
done
/usr/bin/git log --stat --format='%H %T %s'
/usr/bin/git diff HEAD~3 HEAD | /usr/bin/git hash-object --stdin
/usr/bin/git blame file7 | /usr/bin/git hash-object --stdin
/usr/bin/git gc -q && /usr/bin/git fsck --full --strict
/usr/bin/git clone -q . ../clone && cd ../clone && /usr/bin/git grep -c 17 | sort | head
/usr/bin/git checkout -q -b side HEAD~2 && echo x >new
/usr/bin/git add new && /usr/bin/git commit -q -m side
/usr/bin/git merge -q main -m merged && /usr/bin/git rev-parse HEAD
"#;
    if skip::tool("/usr/bin/git").is_some() {
        let files = &[("work.sh", text)];
        assert_same(&Case { command: &["/bin/bash", "work.sh"], files, environment: &[], makes: None });
    }
}

#[test]
fn sqlite() {
    let text = "
create table t(id integer primary key, name text, size real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
  insert into t select i, 'name' || (i * 7919 % 100003), i * 0.5 from n;
create index by_name on t(name);
select count(distinct name), sum(size) from t;
select substr(name, 1, 6) as head, count(*), max(size), group_concat(id % 10, '') from t
  group by head order by 2 desc, head limit 40;
update t set name = replace(name, '1', 'one') where id % 3 = 0;
delete from t where id % 5 = 0;
select a.id, b.name from t a join t b on a.id = b.id + 1 where a.name like '%one%'
  order by b.name, a.id limit 100;
vacuum;
pragma integrity_check;
";
    assert_same(&Case {
        command: &["/usr/bin/sqlite3", "-init", "work.sql", "test.db", "select count(*) from t;"],
        files: &[("work.sql", text)],
        environment: &[],
        makes: Some("test.db"),
    });
}

#[test]
fn perl() {
    let text = r#"
use strict;
my (%h, @a);
my $s = 1;
for my $i (1 .. 200000) {
    $s = ($s * 1103515245 + 12345) & 0x7fffffff;
    $h{"k" . ($s % 30000)} .= chr(97 + $i % 26);
    push @a, $s if $i % 3 == 0;
}
my $text = join ",", map { "$_=" . length $h{$_} } sort keys %h;
$text =~ s/(\d+)=/<$1>/g;
print length($text), " ", unpack("%32C*", $text), "\n";
print join(" ", (sort { $a <=> $b } @a)[0 .. 20]), "\n";
my $big = "x" x 20_000_000;
$big =~ tr/x/y/;
print length($big . $big), "\n";
my $child = fork;
exit scalar(keys %h) % 200 unless $child;
waitpid $child, 0;
print "child: ", $? >> 8, "\n";
"#;
    assert_same(&Case {
        command: &["/usr/bin/perl", "work.pl"],
        files: &[("work.pl", text)],
        environment: &[],
        makes: None,
    });
}

#[test]
fn bash() {
    let text = r#"
declare -A count
for ((i = 0; i < 30000; i++)); do
  key=$((i * 7919 % 1009))
  count[$key]=${count[$key]}x
done
for key in "${!count[@]}"; do echo "$key ${#count[$key]}"; done | sort -n | head -50
text=$(printf 'line %d\n' {1..20000})
echo "${#text}"
replaced=${text//line/row}
echo "${replaced: -9}"
(exec 3< <(seq 5000); while read -r n <&3; do sum=$((sum + n)); done; echo "$sum")
wait
f() { [ "$1" = 0 ] && return; local pad=$1$1$1; f $(($1 - 1)); echo -n "${#pad}"; }
f 200 | cksum
"#;
    let files = &[("work.sh", text)];
    assert_same(&Case { command: &["/bin/bash", "work.sh"], files, environment: &[], makes: None });
}

/// Many functions: enough for the compiler to collect garbage of its own and grow its arrays.
fn c_source() -> String {
    let mut text =
        String::from("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <math.h>\n");
    for n in 0..400 {
        text += &format!(
            "static int f{n}(int a, char *s) {{ int i, t = {n}; struct {{ int x[{m}]; double y; }} v; \
             memset(&v, a, sizeof v); for (i = 0; i < a % {m}; i++) {{ switch ((i ^ {n}) % 7) {{ \
             case 0: t += s[i]; break; case 1: t ^= v.x[i % {m}]; break; \
             case 2: t -= (int)sin(v.y + i); break; default: t *= 3; }} }} \
             return t; }}\n",
            m = n % 37 + 2
        );
    }
    text += "int main(void) { int t = 0; char s[256] = \"text\";\n";
    (0..400).for_each(|n| text += &format!("t += f{n}({n}, s);\n"));
    text + "printf(\"%d\\n\", t); return 0; }\n"
}

#[test]
fn gcc() {
    let source = c_source();
    assert_same(&Case {
        command: &["/usr/bin/gcc", "-O2", "-g", "-c", "work.c", "-o", "work.o"],
        files: &[("work.c", &source)],
        environment: &[],
        makes: Some("work.o"),
    });
}

#[test]
fn gxx_and_what_it_makes() {
    let text = r#"
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <thread>
#include <vector>

int main() {
    std::map<std::string, std::vector<std::unique_ptr<std::string>>> words;
    unsigned long seed = 1;
    for (int i = 0; i < 200000; i++) {
        seed = seed * 6364136223846793005ul + 1442695040888963407ul;
        auto word = std::to_string(seed >> 44);
        words[word.substr(0, 3)].push_back(std::make_unique<std::string>(word + word));
    }
    std::vector<std::thread> threads;
    std::vector<unsigned long> sums(4);
    for (int n = 0; n < 4; n++)
        threads.emplace_back([&, n] {
            for (int i = 0; i < 100000; i++) sums[n] += std::string(i % 300, 'a' + n).size();
        });
    for (auto &thread : threads) thread.join();
    std::smatch match;
    std::string text = "size=4096 name=brk";
    std::regex_search(text, match, std::regex("(\\w+)=(\\w+) (\\w+)=(\\w+)"));
    struct alignas(256) Wide { char c[300]; };
    auto wide = std::make_unique<Wide[]>(5);
    if ((unsigned long)wide.get() % 256) return 1;
    try { throw std::string(10000, 'x'); } catch (std::string &s) { std::cout << s.size() << '\n'; }
    std::cout << words.size() << ' ' << words.begin()->second.size() << '\n';
    std::cout << sums[3] << ' ' << match[4] << '\n';
}
"#;
    let script = "/usr/bin/g++ -O1 -std=c++17 -pthread work.cc -o work && ./work";
    if skip::tool("/usr/bin/g++").is_some() {
        assert_same(&Case {
            command: &["/bin/bash", "-c", script],
            files: &[("work.cc", text)],
            environment: &[],
            makes: Some("work"),
        });
    }
}

#[test]
fn redis() {
    // A socket in the folder: no port, nobody else's server. What the benchmark prints are times, so only
    // that it ends well counts; the data afterwards is compared.
    let text = r#"
set -e
here=$PWD
/usr/bin/redis-server --port 0 --unixsocket "$here/socket" --save '' --dir "$here" \
  --loglevel warning >log 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; cat log >&2' ERR
ask() { /usr/bin/redis-cli -s "$here/socket" "$@"; }
for try in $(seq 200); do ask ping >/dev/null 2>&1 && break; sleep 0.05; done
ask ping
/usr/bin/redis-benchmark -s "$here/socket" -n 20000 -c 20 -P 8 -q -d 100 -r 5000 \
  -t set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset >times 2>&1
for n in $(seq 300); do
  echo "set key$n $(printf "%0$((n * 20))d" "$n")"
  echo "lpush list $n"
done | ask >/dev/null
ask debug object key1 >/dev/null || true
ask sort list limit 0 10
ask strlen key299
ask eval 'local t = {} for i = 1, 20000 do t[i] = tostring(i) end return #table.concat(t)' 0
ask bgsave
for try in $(seq 200); do ask info persistence | grep -q 'rdb_bgsave_in_progress:0' && break; sleep 0.05; done
ask info persistence | grep -o 'rdb_last_bgsave_status:ok'
ask flushall async
ask dbsize
ask shutdown nosave
wait $server
"#;
    if skip::tool("/usr/bin/redis-server").is_some() && skip::tool("/usr/bin/redis-benchmark").is_some() {
        let files = &[("work.sh", text)];
        assert_same(&Case { command: &["/bin/bash", "work.sh"], files, environment: &[], makes: None });
    }
}
