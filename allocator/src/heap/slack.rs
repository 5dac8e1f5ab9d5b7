//! What a sparse heap has too much: free pages inside its slabs, which one live block each would keep.
//!
//! ```text
//!   a free in a sparse heap ─► slack noted ─► said in the arena ─► whoever said it, once it holds no lock:
//! a round through each heap that is worth it
//! ```

use super::registry::Registry;
use super::{Heap, Shared};
use crate::arena::Arena;
use crate::base::config::{GRANULE, SLACK_FROM, SPARSE_BYTES};
use crate::base::keys::Key;
use crate::base::units::Bytes;
use crate::os::Os;
use crate::slab::noted::Noted;
use crate::slab::round::Batch;
use crate::slab::site::Site;
use crate::slab::slabs::Slabs;
use crate::slab::slack::Worth;
use core::sync::atomic::Ordering;

impl Heap {
    /// Tells senders whether the slabs are mostly free, and returns it; notes what came back to them.
    #[inline]
    pub(super) fn note_sparse<O: Os>(&self, site: &Site<O>, slabs: &mut Slabs) -> bool {
        let (bytes, used) = (slabs.slab_bytes(), slabs.used_bytes());
        let sparse = bytes > SPARSE_BYTES && used * 4 < bytes;
        // Relaxed: it only says whether the next sender should be quick.
        if self.shared.sparse.load(Ordering::Relaxed) != sparse {
            self.shared.sparse.store(sparse, Ordering::Relaxed);
        }
        let resident = slabs.resident_bytes();
        let slack = resident > SLACK_FROM && used * 4 < resident;
        let asks = if slack { slabs.asks_for_slack() } else { slabs.asks_to_forget_slack() };
        if asks {
            self.note_slack(site, slabs, slack);
        }
        sparse
    }

    #[cold]
    #[inline(never)]
    fn note_slack<O: Os>(&self, site: &Site<O>, slabs: &mut Slabs, any: bool) {
        if !any {
            slabs.forget_slack();
            return self.shared.say_slack(site.arena, 0);
        }
        let (slack, worth) = slabs.slack();
        self.shared.say_slack(site.arena, slack);
        if worth == Worth::Round {
            // Relaxed: as the slack.
            self.shared.due.store(true, Ordering::Relaxed);
        }
        site.arena.budget.note_slack();
    }

    /// Bytes inside of this heap's slabs that are noted as worth a purge.
    pub fn slack(&self) -> usize {
        // Relaxed: see `say_slack`.
        self.shared.slack.load(Ordering::Relaxed)
    }

    /// Purges the free pages of this heap's slabs. Those that went.
    pub fn purge_pages<O: Os>(&self, arena: &Arena<O>) -> Bytes {
        self.purge_pages_while(arena, || {})
    }

    /// The same, with `meanwhile` done each time that slabs are away and the lock is open.
    pub fn purge_pages_while<O: Os>(&self, arena: &Arena<O>, mut meanwhile: impl FnMut()) -> Bytes {
        let noted = Noted::nothing();
        let site = self.site(arena, &noted);
        // A slab of one page has none that is free beside a block.
        if site.page() >= GRANULE || !self.shared.slabs.lock().start_round() {
            return Bytes(0);
        }
        // Relaxed: as the slack.
        self.shared.due.store(false, Ordering::Relaxed);
        let (mut batch, mut went) = (Batch::new(), 0);
        while self.shared.slabs.lock().next_batch(&site, &mut batch) {
            meanwhile();
            went += batch.purge(&site).0;
        }
        self.shared.say_slack(arena, 0);
        // A sender that found the lock taken has left its parcel to whoever held it.
        self.drain(&site);
        Bytes(went)
    }

    /// What a fork's copy has of a thread that purges pages.
    #[cfg(test)]
    pub fn leave_pages_away<O: Os>(&self, arena: &Arena<O>) {
        let noted = Noted::nothing();
        let (site, mut slabs) = (self.site(arena, &noted), self.shared.slabs.lock());
        assert!(slabs.start_round() && slabs.next_batch(&site, &mut Batch::new()));
    }
}

impl Shared {
    fn say_slack<O: Os>(&self, arena: &Arena<O>, slack: usize) {
        // Relaxed: a figure that a policy reads. The thread that says it looks at it next.
        let before = self.slack.swap(slack, Ordering::Relaxed);
        arena.budget.count_in_slabs(slack.wrapping_sub(before) as isize);
    }
}

impl Registry {
    /// Purges the free pages inside the slabs of heaps that say they are worth it, or of all that have any
    /// where they are too many together: more than may always stay dirty. A program of less than that which
    /// empties itself again and again purges nothing; nor does one whose swing is followed.
    pub fn purge_slack<O: Os>(&self, arena: &Arena<O>) {
        let mut sum = 0;
        // Relaxed: see `say_slack`.
        self.for_each(|heap| sum += heap.shared.slack.load(Ordering::Relaxed));
        let most = match arena.budget.may_stay_in_slabs(&arena.settings, sum) {
            true => return,
            false => arena.settings.get(Key::DirtyFloor),
        };
        self.for_each(|heap| {
            let slack = heap.shared.slack.load(Ordering::Relaxed);
            if heap.shared.due.load(Ordering::Relaxed) || (sum > most && slack > 0) {
                arena.note_gone(heap.purge_pages(arena));
            }
        });
    }
}
