use std::path::Path;

use super::{FIRST_LENGTH, Store, header, record};

fn contents(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    store.scan(b"").map(|(key, value)| (key.to_vec(), value)).collect()
}

fn put(path: &Path, key: &[u8], value: &[u8]) {
    let mut store = Store::create(path).expect("a store");
    store.put(key, value).expect("put");
    store.commit().expect("commit");
}

#[test]
fn what_is_committed_is_there_after_reopening_and_what_is_not_is_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store");
    let mut store = Store::create(&path).expect("a store");
    store.put(b"a", b"1").expect("put");
    store.put(b"b", b"2").expect("put");
    assert!(store.delete(b"a").expect("delete"));
    assert!(!store.delete(b"a").expect("delete"));
    store.commit().expect("commit");
    store.put(b"c", b"3").expect("put");
    assert_eq!(store.get(b"c").as_deref(), Some(&b"3"[..]));
    drop(store);
    let store = Store::open(&path).expect("reopen");
    assert_eq!(contents(&store), [(b"b".to_vec(), b"2".to_vec())]);
    assert_eq!(store.sequence(), 1);
}

/// Every state that a kill in the middle of a commit can leave: the bytes of the record, then those
/// of the slot, up to each single byte.
#[test]
fn a_commit_torn_at_any_byte_is_the_old_state_or_the_new() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store");
    let torn = dir.path().join("torn");
    for round in 0..4_u8 {
        let before = std::fs::read(&path).unwrap_or_else(|_| {
            drop(Store::create(&path).expect("a store"));
            std::fs::read(&path).expect("read")
        });
        let old = Store::open(&path).expect("open");
        let (old_contents, start, sequence) = (contents(&old), old.committed.end, old.sequence());
        drop(old);
        put(&path, b"key", &[round; 21]);
        let new_contents = contents(&Store::open(&path).expect("open"));
        let after = std::fs::read(&path).expect("read");
        let slot = header::slot_of(sequence + 1);
        let written: Vec<usize> = (start..start + 48).chain(slot..slot + 24).collect();
        let mut image = before;
        for (count, &offset) in written.iter().enumerate() {
            std::fs::write(&torn, &image).expect("write");
            let found = contents(&Store::open(&torn).expect("a torn store opens"));
            assert!(found == old_contents || found == new_contents, "round {round}, {count} bytes written");
            image[offset] = after[offset];
        }
        assert_eq!(image, after, "nothing else was written");
    }
}

#[test]
fn growth_keeps_every_record() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store");
    let mut store = Store::create(&path).expect("a store");
    let value = |n: u32| vec![n as u8; 1000 + n as usize];
    for n in 0..300_u32 {
        store.put(&n.to_be_bytes(), &value(n)).expect("put");
    }
    store.commit().expect("commit");
    drop(store);
    assert!(std::fs::metadata(&path).expect("stat").len() > 4 * FIRST_LENGTH as u64);
    let store = Store::open(&path).expect("reopen");
    assert_eq!(store.scan(b"").count(), 300);
    assert!((0..300_u32).all(|n| store.get(&n.to_be_bytes()) == Some(value(n))));
}

#[test]
fn compaction_drops_the_dead_and_keeps_the_living() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store");
    for n in 0..50_u8 {
        put(&path, &[n % 5 + 1], &[n; 100]);
    }
    let store = Store::open(&path).expect("open");
    let (before, living) = (store.log_len(), contents(&store));
    let store = store.compact().expect("compact");
    assert_eq!(contents(&store), living);
    assert!(store.log_len() * 5 < before);
    drop(store);
    assert_eq!(contents(&Store::open(&path).expect("reopen")), living);
    assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 1);
}

#[test]
fn rot_a_cut_and_a_stranger_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store");
    put(&path, b"key", b"some value");
    put(&path, b"other", b"some value");
    let sound = std::fs::read(&path).expect("read");
    let opens = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("write");
        Store::open(&path).map(|_| ()).map_err(|error| error.to_string())
    };
    let mut rotten = sound.clone();
    rotten[4096 + 20] ^= 1;
    assert!(opens(&rotten).unwrap_err().contains("damaged at offset 4096"));
    assert!(opens(&sound[..4096]).unwrap_err().contains("was cut"));
    assert!(opens(&sound[..100]).unwrap_err().contains("no store"));
    assert!(opens(&[b'x'; 8192]).unwrap_err().contains("no store"));
    assert_eq!(opens(&sound), Ok(()));
}

#[test]
fn keys_have_a_length_and_a_limit() {
    assert!(record::encode(b"", Some(b"x")).is_err());
    assert!(record::encode(&[1; record::KEY_AT_MOST + 1], None).is_err());
    assert!(record::encode(&[1; record::KEY_AT_MOST], Some(b"")).is_ok());
}
