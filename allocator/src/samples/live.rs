//! The sampled blocks that are live, by address.
//!
//! ```text
//!   heads   by the address's hash ─► node ─► node ─► …
//! ```
//!
//! A node is never taken out of its list: when its block is freed its key becomes 0, and the next sample of
//! the same hash takes it up. So a list is as long as there were samples of its hash at once, and who goes
//! through one meets no node that is being freed.
//!
//! Edge SAMPLE: a node filled, then its key stored, or its list's head (Release) → its key loaded (Acquire).
#![allow(unsafe_code)]

use super::store::Store;
use crate::base::checked::Checked;
use crate::base::why::OF_PROFILE;
use crate::os::Os;
use crate::os::mapped::{Mapped, Zeroed};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

const HEADS: usize = if cfg!(miri) { 1 << 4 } else { 1 << 14 };

/// A node's key while it is filled: no block is there.
const TAKEN: usize = 1;

/// What is known of a sampled block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sampled {
    pub site: u32,
    pub asked: usize,
    pub born: u64,
}

struct Node {
    /// The block's address; 0 where there is none.
    key: AtomicUsize,
    /// Index plus one of the next in the list, or 0.
    next: AtomicU32,
    site: AtomicU32,
    asked: AtomicUsize,
    born: AtomicU64,
}

// SAFETY: all of its fields are atomics, of which zeros are values.
unsafe impl Zeroed for Node {}

pub struct Live {
    /// Index plus one of the newest node, or 0. Mapped when the first profile starts.
    heads: Mapped<Checked<AtomicU32, HEADS>>,
    nodes: Store<Node>,
}

fn hash(addr: usize) -> usize {
    ((addr as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % HEADS
}

impl Node {
    fn fill(&self, sampled: Sampled) {
        // Relaxed: SAMPLE publishes them.
        self.site.store(sampled.site, Ordering::Relaxed);
        self.asked.store(sampled.asked, Ordering::Relaxed);
        self.born.store(sampled.born, Ordering::Relaxed);
    }

    /// Takes its block out, if it is the one at `addr`.
    fn take(&self, addr: usize) -> Option<Sampled> {
        // SAMPLE (Acquire).
        if self.key.load(Ordering::Acquire) != addr {
            return None;
        }
        let sampled = Sampled {
            site: self.site.load(Ordering::Relaxed),
            asked: self.asked.load(Ordering::Relaxed),
            born: self.born.load(Ordering::Relaxed),
        };
        // Release: what was read of it was read before another may fill it.
        let taken = self.key.compare_exchange(addr, 0, Ordering::Release, Ordering::Relaxed);
        taken.is_ok().then_some(sampled)
    }
}

impl Live {
    pub const fn new() -> Self {
        Live { heads: Mapped::nothing(), nodes: Store::new() }
    }

    /// Makes room for the lists. False where there is no memory for them.
    pub fn make_room<O: Os>(&self, os: &O) -> bool {
        self.heads.make(os, 1, OF_PROFILE).is_some()
    }

    /// Gives everything back.
    ///
    /// # Safety
    /// Nobody is here, or comes.
    pub unsafe fn unmap<O: Os>(&self, os: &O) {
        // SAFETY: as the caller vouches, for both.
        unsafe {
            self.heads.unmap(os, 1, OF_PROFILE);
            self.nodes.unmap(os);
        }
    }

    fn head(&self, addr: usize) -> Option<&AtomicU32> {
        Some(&self.heads.get()?[hash(addr)])
    }

    fn list(&self, addr: usize) -> impl Iterator<Item = &Node> {
        // SAMPLE (Acquire): the nodes of a list are whole.
        let first = self.head(addr).and_then(|head| self.node(head.load(Ordering::Acquire)));
        core::iter::successors(first, |node| self.node(node.next.load(Ordering::Relaxed)))
    }

    fn node(&self, link: u32) -> Option<&Node> {
        self.nodes.get(link.checked_sub(1)?)
    }

    /// Notes a block, which is not noted yet. False where there is no memory.
    pub fn insert<O: Os>(&self, os: &O, addr: usize, sampled: Sampled) -> bool {
        let take = |node: &&Node| {
            // Acquire: behind what its last owner read of it.
            let free = node.key.load(Ordering::Relaxed) == 0;
            free && node.key.compare_exchange(0, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        if let Some(node) = self.list(addr).find(take) {
            node.fill(sampled);
            // SAMPLE (Release).
            node.key.store(addr, Ordering::Release);
            return true;
        }
        let Some(head) = self.head(addr) else { return false };
        let Some(index) = self.nodes.grow(os, 1) else { return false };
        let Some(node) = self.nodes.get(index) else { return false };
        node.fill(sampled);
        node.key.store(addr, Ordering::Release);
        let push = |first| {
            node.next.store(first, Ordering::Relaxed);
            Some(index + 1)
        };
        // SAMPLE (Release).
        _ = head.fetch_update(Ordering::Release, Ordering::Relaxed, push);
        true
    }

    /// Takes out the block of an address, if it is noted.
    pub fn remove(&self, addr: usize) -> Option<Sampled> {
        self.list(addr).find_map(|node| node.take(addr))
    }

    /// Takes out every block that is noted, and calls `f` with its address.
    pub fn forget_all(&self, f: impl Fn(usize)) {
        for node in (0..self.nodes.count()).filter_map(|index| self.nodes.get(index)) {
            let addr = node.key.load(Ordering::Relaxed);
            if addr > TAKEN && node.take(addr).is_some() {
                f(addr);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sim::Sim;

    #[test]
    fn what_is_noted_is_found_once_and_its_node_serves_again() {
        let (live, os) = (Live::new(), Sim::new());
        assert!(!live.insert(&os, 64, Sampled { site: 0, asked: 1, born: 0 }) && live.remove(64).is_none());
        assert!(live.make_room(&os));
        let sampled = |n: usize| Sampled { site: n as u32, asked: n * 3, born: n as u64 };
        let (rounds, count) = if cfg!(miri) { (2, 80) } else { (3, 500) };
        for _ in 0..rounds {
            (1..count).for_each(|n| assert!(live.insert(&os, n * 4096, sampled(n))));
            assert_eq!(live.remove(4095), None);
            for n in (1..count).rev() {
                assert_eq!(live.remove(n * 4096), Some(sampled(n)));
                assert_eq!(live.remove(n * 4096), None);
            }
        }
        assert!((live.nodes.count() as usize) < count, "{}", live.nodes.count());
        assert!(live.insert(&os, 64, sampled(9)));
        live.forget_all(|addr| assert_eq!(addr, 64));
        assert_eq!(live.remove(64), None);
    }
}
