//! The slow paths of a heap's own thread: an empty bin, an over-full bin, the end of the thread.

use super::registry::Registry;
use super::{Heap, RUNNING};
use crate::arena::Arena;
use crate::arena::page_map::Entry;
use crate::config::{MAGAZINE_CAP, MAGAZINE_FIRST, SPARSE_BYTES};
use crate::os::Os;
use crate::size_class::{self, CLASSES};
use crate::slab::central::{Central, Site};
use crate::slab::free_list::Link;
use crate::units::SizeClass;
use core::sync::atomic::{Ordering, compiler_fence};

/// A block fresh from the slow path.
pub struct Fresh {
    pub block: *mut u8,
    /// Reads as zero but for its first word.
    pub zeroed: bool,
}

/// Blocks of the first refill of a class: half a page of them, so that a class used once costs a page.
const fn first_cap(class: SizeClass) -> u32 {
    let fit = (2048 / size_class::bytes(class)) as u32;
    let first = if fit < MAGAZINE_FIRST { fit } else { MAGAZINE_FIRST };
    if first == 0 { 1 } else { first }
}

impl Heap {
    /// A block of a class whose bin is empty: from the spare, from what other threads sent, from the
    /// slabs. None where the arena can grow no more.
    pub fn alloc_slow<O: Os>(
        &self,
        arena: &Arena<O>,
        registry: &Registry,
        class: SizeClass,
    ) -> Option<Fresh> {
        self.while_busy(|| {
            let spare = &self.owned.spares[class.0 as usize];
            if !spare.is_empty() {
                self.bin(class).fill(spare.take(), spare.cap());
                return self.pop_fresh(class, false);
            }
            self.send_outbox(arena, registry);
            let site = self.site(arena);
            let mut central = self.shared.central.lock();
            self.collect(&site, &mut central);
            if !self.bin(class).is_empty() {
                return self.pop_fresh(class, false);
            }
            let cap = (spare.cap() * 2).max(first_cap(class)).min(MAGAZINE_CAP[class.0 as usize] as u32);
            let refill = central.refill(&site, class, cap)?;
            drop(central);
            self.set_cap(class, cap);
            let zeroed = refill.zeroed;
            self.bin(class).fill(refill.chain, cap);
            self.pop_fresh(class, zeroed)
        })
    }

    fn pop_fresh(&self, class: SizeClass, zeroed: bool) -> Option<Fresh> {
        let block = self.pop(class);
        (!block.is_null()).then_some(Fresh { block, zeroed })
    }

    /// Empties a bin that took one block more than it holds.
    pub fn flush<O: Os>(&self, arena: &Arena<O>, class: SizeClass) {
        self.while_busy(|| {
            let spare = &self.owned.spares[class.0 as usize];
            let full = self.bin(class).take(spare.cap());
            if spare.is_empty() && spare.cap() > 0 {
                spare.fill(full);
                return;
            }
            let site = self.site(arena);
            let mut central = self.shared.central.lock();
            if spare.cap() == 0 {
                central.release(&site, full);
            } else {
                let older = spare.take();
                spare.fill(full);
                central.deposit(&site, class, older);
            }
            self.sweep_if_sparse(&site, &mut central);
        })
    }

    /// In a heap whose slabs are mostly free, single cached blocks pin whole slabs. Once it is so, and
    /// each time the bytes in use have halved since, everything cached goes back to its slab, and
    /// magazines stay closed until a refill opens them again: a program that only frees ends with
    /// nothing pinned, one that goes on allocating is soon back at full speed.
    fn sweep_if_sparse<O: Os>(&self, site: &Site<O>, central: &mut Central) {
        let used = central.used_bytes();
        let swept_at = self.owned.swept_at.get();
        if used > swept_at.saturating_mul(2) {
            self.owned.swept_at.set(usize::MAX);
        }
        if is_sparse(central) && used < swept_at / 2 {
            self.empty_magazines(site, central);
            central.empty_depot(site);
            self.owned.swept_at.set(central.used_bytes());
        }
    }

    /// Puts every block of every magazine back into its slab, and closes the magazines.
    fn empty_magazines<O: Os>(&self, site: &Site<O>, central: &mut Central) {
        for class in 0..CLASSES {
            let spare = &self.owned.spares[class];
            let in_bin = self.bins[class].take(spare.cap());
            central.release(site, in_bin);
            central.release(site, spare.take());
            self.set_cap(SizeClass(class as u8), 0);
        }
    }

    /// Installs chains that other threads sent where their class has none at hand; the others go to
    /// the depot.
    fn collect<O: Os>(&self, site: &Site<O>, central: &mut Central) {
        self.shared.take_inbox(site, |class, chain| {
            let spare = &self.owned.spares[class.0 as usize];
            if self.bin(class).is_empty() && spare.cap() > 0 {
                self.bin(class).fill(chain, spare.cap());
            } else if spare.is_empty() && spare.cap() > 0 {
                spare.fill(chain);
            } else {
                central.deposit(site, class, chain);
            }
        });
    }

    fn set_cap(&self, class: SizeClass, cap: u32) {
        let spare = &self.owned.spares[class.0 as usize];
        self.bin(class).widen(cap as i32 - spare.cap() as i32);
        spare.set_cap(cap);
    }

    /// Frees a block of another heap.
    ///
    /// # Safety
    /// The block is live, of the slab entry `entry`, and given up by the caller.
    #[inline]
    pub unsafe fn free_remote<O: Os>(
        &self,
        arena: &Arena<O>,
        registry: &Registry,
        entry: Entry,
        class: SizeClass,
        block: *mut Link,
    ) {
        self.owned.busy.set(true);
        compiler_fence(Ordering::SeqCst);
        // SAFETY: as the caller vouches.
        let evicted = unsafe { self.owned.outbox.add(entry, block, size_class::bytes(class)) };
        if let Some(parcel) = evicted {
            let sparse = registry.send(arena, parcel);
            self.owned.outbox.hurry(sparse);
        }
        if self.owned.outbox.is_full() {
            self.send_outbox(arena, registry);
        }
        compiler_fence(Ordering::SeqCst);
        self.owned.busy.set(false);
    }

    /// Sends everything that waits for other heaps.
    pub fn send_outbox<O: Os>(&self, arena: &Arena<O>, registry: &Registry) {
        if self.owned.outbox.is_empty() {
            return;
        }
        let mut sparse = false;
        self.owned.outbox.drain(|parcel| sparse |= registry.send(arena, parcel));
        self.owned.outbox.hurry(sparse);
    }

    /// Gives back what this thread caches, for `malloc_trim` and at the end of a thread.
    pub fn give_back<O: Os>(&self, arena: &Arena<O>, registry: &Registry) {
        self.while_busy(|| {
            self.send_outbox(arena, registry);
            let site = self.site(arena);
            let mut central = self.shared.central.lock();
            self.empty_magazines(&site, &mut central);
            self.shared.take_inbox(&site, |_, chain| central.release(&site, chain));
            central.empty_depot(&site);
            central.retire_empty(&site);
        })
    }

    /// Counts the calls of the thread's exit hook.
    pub fn count_exit(&self) -> u32 {
        let exits = self.owned.exits.get() + 1;
        self.owned.exits.set(exits);
        exits
    }

    pub(super) fn start_running(&self) {
        self.owned.exits.set(0);
        // Relaxed: see `is_parked`.
        self.shared.state.store(RUNNING, Ordering::Relaxed);
    }

    /// In a fork's child, for the heap of a thread that is not there any more: forgets the lists that
    /// the copy may have torn.
    pub(super) fn forget_if_busy(&self) {
        if self.owned.busy.get() {
            for (bin, spare) in self.bins.iter().zip(&self.owned.spares.0) {
                // Lost, both: whether they are whole is not known.
                let _ = (bin.take(0), spare.take());
                spare.set_cap(0);
            }
            self.owned.outbox.forget();
            self.owned.busy.set(false);
        }
    }

    #[inline]
    fn while_busy<R>(&self, f: impl FnOnce() -> R) -> R {
        self.owned.busy.set(true);
        // Fences of the compiler only: a fork's copy sees one thread's stores in program order.
        compiler_fence(Ordering::SeqCst);
        let result = f();
        compiler_fence(Ordering::SeqCst);
        self.owned.busy.set(false);
        result
    }
}

/// Whether a heap's slabs are mostly free, and many enough for it to matter.
pub(super) fn is_sparse(central: &Central) -> bool {
    central.slab_bytes() > SPARSE_BYTES && central.used_bytes() * 4 < central.slab_bytes()
}
