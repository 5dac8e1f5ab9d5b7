//! The slow paths of a heap's own thread: an empty magazine, a full one, the end of the thread.

use super::at_hand::Density;
use super::bin::Seen;
use super::registry::Registry;
use super::remote::gather;
use super::{Heap, RUNNING, exposed};
use crate::arena::Arena;
use crate::arena::page_map::Entry;
use crate::base::allocated::Allocated;
use crate::base::checked::{part_or_end, split_or_end};
use crate::base::config::{
    FEW_BYTES, FEW_IN_ALL, FEW_REOPENED, HOMING, MAGAZINE_BYTES, MAGAZINE_CAP, MAGAZINE_FIRST,
    MAGAZINE_FREED, MAGAZINE_MIN, PAGE, PROFILE, REOPENED_MOST,
};
use crate::base::keys::Key;
use crate::base::size_class::{self, CLASSES};
use crate::base::units::SizeClass;
use crate::medium::Medium;
use crate::os::Os;
use crate::slab::noted::Noted;
use crate::slab::site::Site;
use crate::slab::slabs::Slabs;
use crate::slab::slot::Slot;
use crate::sync::held::{Orderings, Strong};
use crate::sync::stores::in_order;
use core::sync::atomic::{Ordering, fence};

impl Heap {
    /// A block of a class whose magazine is empty, or has few while a profile is taken: from what other
    /// threads sent, from the slabs. None where the arena can grow no more.
    pub fn alloc_slow<O: Os>(&self, arena: &Arena<O>, class: SizeClass) -> Option<Allocated> {
        let noted = Noted::nothing();
        let site = self.site(arena, &noted);
        self.while_joined(class, || {
            let held = if PROFILE { self.blocks_held(class) } else { 0 };
            let pop = || (held > 0).then(|| Allocated::unknown(self.pop(class)));
            if held > self.few(class) {
                // A signal handler came between, and left some.
                return pop();
            }
            if held > 0 {
                self.know_held(class);
            }
            let mut slabs = self.shared.slabs.lock();
            self.shared.keep_inbox(&site, &mut slabs);
            self.owned.swept_for_others.set(false);
            let want = self.widen(class, most_at_hand(arena, class)).div_ceil(2) as usize;
            // What is filled up is stamped, so its pages are touched.
            let want =
                if held > 0 { want.min(self.few(class).max(PAGE / size_class::bytes(class))) } else { want };
            let (bin, magazine) = (self.bin(class), self.magazine(class));
            let room = magazine.room(bin);
            let Some(refill) = slabs.refill(&site, class, part_or_end(room, 0..want)) else { return pop() };
            magazine.fill(bin, refill.count);
            if self.owned.at_hand.asks(slabs.resident_bytes()) {
                self.look(&slabs);
            }
            if self.note_sparse(&site, &mut slabs) {
                slabs.empty_depot(&site);
                drop(slabs);
                self.drain(&site);
            }
            let block = self.pop(class);
            match refill.carved {
                Some(carved) if held > 0 => self.know_all(class, carved),
                Some(carved) => self.note_carved(class, carved, block),
                None => {}
            }
            Some(Allocated { block, zeroed_from: refill.zeroed_from })
        })
    }

    /// Frees a block of any heap, of the slab entry `entry`, that its class's magazine refused: it is full,
    /// or closed.
    pub fn free_slow<O: Os>(&self, arena: &Arena<O>, registry: &Registry, entry: Entry, block: *mut u8) {
        let (class, block) = (entry.class(), exposed(block));
        let noted = Noted::nothing();
        let site = self.site(arena, &noted);
        self.while_joined(class, || {
            let (bin, magazine) = (self.bin(class), self.magazine(class));
            let mine = entry.grown() == Entry::slab(self.id(), class);
            // A homing class's magazine takes only what is this heap's.
            let takes = mine || class < HOMING;
            if takes && bin.push::<Seen>(block) {
                return;
            }
            // A closed magazine's block goes home, and another heap's opens it: a thread that only ever frees
            // a block or two of a class keeps none, and shares no cache line with whom it got them from.
            let widens = takes && (magazine.cap() > 0 || !mine || self.owned.at_hand.may_open());
            let len = if takes { magazine.len(bin) } else { 0 };
            // One for a few blocks is emptied: a sparse heap's, or one that a key keeps so small.
            let oldest = if magazine.cap() < MAGAZINE_FIRST { len } else { len / 2 };
            let receivers = if oldest > 0 {
                let blocks = part_or_end(magazine.blocks(bin), 0..oldest as usize);
                let receivers = self.send_home(&site, registry, class, blocks);
                magazine.drop_oldest(bin, oldest);
                bin.put(block);
                receivers
            } else if mine {
                self.put_home(&site, |slabs| slabs.release_one(&site, class, block)).0
            } else {
                self.send_home(&site, registry, class, &[Slot::new(block)])
            };
            match receivers {
                Density::Dense if widens => {
                    _ = self.widen(class, most_at_hand(arena, class).min(MAGAZINE_FREED))
                }
                Density::Sparse if takes && mine => self.reopen(arena, class),
                Density::Dense | Density::Sparse => {}
                Density::Turned => self.sweep(&site, registry),
            }
        })
    }

    /// Sends blocks of a class to the heaps whose slabs they are of, this one or others; the order they stand
    /// in changes.
    fn send_home<O: Os>(
        &self,
        site: &Site<O>,
        registry: &Registry,
        class: SizeClass,
        blocks: &[Slot],
    ) -> Density {
        let mine = Entry::slab(self.id(), class);
        let (mut rest, mut receivers) = (blocks, Density::Dense);
        while let Some(first) = rest.first() {
            let entry = site.entry_of(first.get());
            if entry == mine {
                let (own, others) = self.put_home(site, |slabs| slabs.release(site, class, rest));
                rest = part_or_end(rest, 0..others);
                receivers = receivers.max(own);
                continue;
            }
            let (these, behind) = split_or_end(rest, gather(site, rest, entry));
            match entry.as_slab() {
                Some((heap, of)) if of == class => {
                    let sparse = registry.heap(heap).receive(site, class, these);
                    receivers = receivers.max(self.judge_other(sparse));
                }
                _ => site.noted.note(c"free(): invalid pointer", first.get()),
            }
            rest = behind;
        }
        receivers
    }

    /// Has `put` put blocks back into this heap's slabs, under the lock. What they are like then.
    fn put_home<O: Os, R>(&self, site: &Site<O>, put: impl FnOnce(&mut Slabs) -> R) -> (Density, R) {
        let mut slabs = self.shared.slabs.lock();
        let result = put(&mut slabs);
        let own = self.judge_own(site, &mut slabs);
        if own != Density::Dense {
            slabs.empty_depot(site);
            drop(slabs);
            // What others sent pins slabs too.
            self.drain(site);
        }
        (own, result)
    }

    /// In a heap whose slabs are mostly free, single cached blocks pin whole slabs. Once it is so, and
    /// each time the bytes in use have halved since, everything cached goes home, and magazines hold a few
    /// blocks at most until a refill opens them again: a program that only frees ends with little pinned, one
    /// that goes on allocating is soon back at full speed.
    #[inline]
    fn judge_own<O: Os>(&self, site: &Site<O>, slabs: &mut Slabs) -> Density {
        match self.owned.at_hand.as_before(slabs.used_bytes()) {
            Some(density) => density,
            None => self.judge_anew(site, slabs),
        }
    }

    #[inline(never)]
    fn judge_anew<O: Os>(&self, site: &Site<O>, slabs: &mut Slabs) -> Density {
        let (at_hand, bytes, used) = (&self.owned.at_hand, slabs.resident_bytes(), slabs.used_bytes());
        if at_hand.is_sheltered() {
            return at_hand.pass(used);
        }
        let sparse = self.note_sparse(site, slabs) || self.pins(site, slabs);
        match sparse && at_hand.may_be_sparse(bytes, used) {
            true => at_hand.judge_sparse(used, slabs.slack_below()),
            false => at_hand.judge(bytes, used, || self.in_magazines()),
        }
    }

    #[cold]
    #[inline(never)]
    fn look(&self, slabs: &Slabs) {
        let held = slabs.used_bytes().saturating_sub(self.in_magazines());
        self.owned.at_hand.look(slabs.resident_bytes(), held);
    }

    /// Whether many addresses are free that a slab may keep, and the program uses little of the slabs: a
    /// block at hand is not worth that, be its slab's other pages purged.
    fn pins<O: Os>(&self, site: &Site<O>, slabs: &Slabs) -> bool {
        let (bytes, used) = (slabs.slab_bytes(), slabs.used_bytes());
        site.arena.budget.is_pinned() && used.saturating_sub(self.in_magazines()) * 4 < bytes
    }

    /// Bytes of the blocks in this thread's magazines.
    #[inline(never)]
    fn in_magazines(&self) -> usize {
        let bytes = |class| self.blocks_held(class) * size_class::bytes(class);
        (0..CLASSES as u8).map(|class| bytes(SizeClass(class))).sum()
    }

    /// The same for another heap, by what it said of itself: this thread may hold blocks that pin its slabs.
    fn judge_other(&self, sparse: bool) -> Density {
        if !sparse || self.owned.at_hand.is_sheltered() {
            return Density::Dense;
        }
        match self.owned.swept_for_others.replace(true) {
            true => Density::Sparse,
            false => Density::Turned,
        }
    }

    /// Sends everything that this thread caches home, and closes the magazines.
    fn sweep<O: Os>(&self, site: &Site<O>, registry: &Registry) {
        for class in (0..CLASSES as u8).map(SizeClass) {
            let (bin, magazine) = (self.bin(class), self.magazine(class));
            if magazine.cap() > 0 {
                _ = self.join(class);
                let bytes = magazine.len(bin) as usize * size_class::bytes(class);
                self.send_home(site, registry, class, magazine.blocks(bin));
                self.close(class);
                self.owned.at_hand.take(class, bytes);
            }
        }
    }

    /// Lets a magazine hold twice what it does, but no more than its class's or than `most` (where it does
    /// not yet). What it holds now.
    fn widen(&self, class: SizeClass, most: u32) -> u32 {
        self.widen_to(class, twice(self.magazine(class).cap()), most)
    }

    /// The same for `cap` blocks.
    fn widen_to(&self, class: SizeClass, cap: u32, most: u32) -> u32 {
        let now = self.magazine(class).cap();
        let cap = cap.min(most).min(MAGAZINE_CAP[class.0 as usize] as u32);
        if cap > now { self.hold(class, cap) } else { now }
    }

    /// Lets a magazine of a sparse heap hold some blocks again: a few, which go home together, or more where
    /// the program swings: it frees and takes the same over and over.
    #[inline(never)]
    fn reopen<O: Os>(&self, arena: &Arena<O>, class: SizeClass) {
        let (at_hand, before) = (&self.owned.at_hand, self.magazine(class).cap());
        let few = FEW_REOPENED.min((FEW_BYTES / size_class::bytes(class)) as u32);
        let (most, in_all) = match arena.budget.swing.bound() {
            0 => (few, FEW_IN_ALL),
            _ => (twice(before), REOPENED_MOST),
        };
        let room = at_hand.room_to_reopen(in_all);
        if most > before && room > 0 && !arena.budget.is_pinned() {
            let cap = self.widen_to(class, most, most_at_hand(arena, class).min(before + room));
            at_hand.note_reopened(cap - before);
        }
    }

    /// Lets a magazine hold `cap` blocks, which is no less than now. As many.
    pub(super) fn hold(&self, class: SizeClass, cap: u32) -> u32 {
        let (magazine, size) = (self.magazine(class), size_class::bytes(class));
        self.owned.at_hand.resize(class, magazine.cap() as usize * size, cap as usize * size);
        self.note_open(class);
        magazine.set_cap(self.bin(class), self.owned.slots.get(), class, cap);
        if cap > MAGAZINE_FIRST {
            self.owned.wide.set(true);
        }
        cap
    }

    /// Forgets what a magazine has, and closes it.
    pub(super) fn close(&self, class: SizeClass) {
        self.forget_parts(class);
        let magazine = self.magazine(class);
        self.owned.at_hand.resize(class, magazine.cap() as usize * size_class::bytes(class), 0);
        magazine.close(self.bin(class), self.owned.slots.get(), class);
        self.note_closed(class);
    }

    /// Gives back what this thread caches, for `malloc_trim` and at the end of a thread.
    pub fn give_back<O: Os>(&self, arena: &Arena<O>, registry: &Registry, medium: &Medium) {
        let noted = Noted::nothing();
        let site = self.site(arena, &noted);
        self.while_busy(|| self.sweep(&site, registry));
        self.give_medium_back(arena, medium);
        self.trim_shared(arena);
    }

    /// As `give_back`, before the heap is parked: from here on senders drain what they send.
    pub fn give_up<O: Os>(&self, arena: &Arena<O>, registry: &Registry, medium: &Medium) {
        // Ordered by the fence.
        self.mark_parked();
        // NOTICE: the store before the last look at the inbox; see `receive`.
        fence(Ordering::SeqCst);
        self.give_back(arena, registry, medium);
        self.leave_session();
    }

    /// Its thread is now the one of this number (`Os::thread`).
    pub(super) fn start_running(&self, thread: u64) {
        // Relaxed: see `is_parked`.
        self.shared.state.store(RUNNING, Ordering::Relaxed);
        self.note_thread(thread);
    }

    /// Notes who its thread is, in a fork's child perhaps that nobody is known to be it.
    pub(super) fn note_thread(&self, thread: u64) {
        // Relaxed: edge SETTLE of the seat orders it.
        self.shared.thread.store(thread, Ordering::Relaxed);
    }

    /// Whether its thread has ended in the middle of nothing.
    pub(super) fn has_lost_thread<O: Os>(&self, os: &O) -> bool {
        // Relaxed: as above.
        let thread = self.shared.thread.load(Ordering::Relaxed);
        thread != 0 && !self.is_busy() && os.has_ended(thread)
    }

    /// Whether its thread is in the middle of changing its lists.
    pub fn is_busy(&self) -> bool {
        // Relaxed: this thread's own store, or the process's only thread asks.
        self.owned.busy.load(Ordering::Relaxed)
    }

    /// In a fork's child, for the heap of the thread that forked.
    pub(super) fn shelter(&self) {
        self.owned.at_hand.shelter();
    }

    /// In a fork's child, for the heap of a thread that is not there any more: forgets the lists that the
    /// copy may have torn, and is parked.
    pub(super) fn forget_owner(&self) {
        if self.is_busy() {
            (0..CLASSES as u8).for_each(|class| self.close(SizeClass(class)));
            self.owned.medium.forget();
            self.owned.busy.store(false, Ordering::Relaxed);
        }
        self.owned.only_frees.set(false);
        self.mark_parked();
    }

    #[inline]
    pub(super) fn while_busy<R>(&self, f: impl FnOnce() -> R) -> R {
        // Relaxed: see BUSY.
        self.owned.busy.store(true, Ordering::Relaxed);
        in_order();
        let result = f();
        in_order();
        // BUSY.
        self.owned.busy.store(false, Strong::DONE);
        result
    }
}

/// The next size of a magazine that holds so many blocks.
fn twice(cap: u32) -> u32 {
    (cap * 2).max(MAGAZINE_FIRST)
}

/// The most blocks of a class that a thread keeps at hand.
#[inline]
fn most_at_hand<O: Os>(arena: &Arena<O>, class: SizeClass) -> u32 {
    match arena.settings.get(Key::ThreadCache) {
        MAGAZINE_BYTES => u32::MAX,
        bytes => ((bytes / size_class::bytes(class)) as u32).max(MAGAZINE_MIN),
    }
}
