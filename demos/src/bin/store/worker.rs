//! A writer to be killed, and what the store must hold after each of its commits.
//!
//! Commit n does one thing that follows from n alone, so the number of commits says what the whole
//! store must look like.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::store::Store;
use brkmap_base::error::{During, Error};
use fastrand::Rng;

/// Few keys, so that most commits write over an older value.
const KEYS: u64 = 60;

pub type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

enum Deed {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
}

fn deed(commit: u64) -> Deed {
    let mut dice = Rng::with_seed(commit);
    let key = format!("key {:02}", dice.u64(..KEYS)).into_bytes();
    if dice.u64(..5) == 0 {
        return Deed::Delete(key);
    }
    // Now and then more than a page, so that the file must grow while it is killed.
    let most = if dice.u64(..20) == 0 { 20_000 } else { 200 };
    let len = dice.u64(..most);
    Deed::Put(key, (0..len).map(|_| dice.u64(..) as u8).collect())
}

/// What the commits 1 to `commits` leave.
pub fn expected(commits: u64) -> Contents {
    let mut contents = Contents::new();
    for commit in 1..=commits {
        match deed(commit) {
            Deed::Put(key, value) => {
                contents.insert(key, value);
            }
            Deed::Delete(key) => {
                contents.remove(&key);
            }
        }
    }
    contents
}

/// Goes on where the store is, and says each commit once it is durable.
pub fn run(path: &Path) -> Result<ExitCode, Error> {
    let mut store = Store::create(path)?;
    let mut out = std::io::stdout().lock();
    loop {
        match deed(store.sequence() + 1) {
            Deed::Put(key, value) => store.put(&key, &value)?,
            Deed::Delete(key) => {
                store.delete(&key)?;
            }
        }
        store.commit()?;
        // The promise: from here on this commit may not be lost.
        out.write_all(&store.sequence().to_le_bytes()).during("say the commit")?;
        out.flush().during("say the commit")?;
    }
}
