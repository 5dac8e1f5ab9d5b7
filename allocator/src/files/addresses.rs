//! The addresses of all stacks, each once: numbered as they come.
#![forbid(unsafe_code)]

use super::scratch::Scratch;
use crate::os::Os;
use crate::samples::Samples;

/// Addresses by hash, each with its number plus one; 0 where there is none.
pub struct Addresses<'a, O: Os> {
    slots: Scratch<'a, [usize; 2], O>,
    /// In the order of their numbers.
    order: Scratch<'a, usize, O>,
    count: usize,
    /// As many as may be taken in.
    most: usize,
}

impl<'a, O: Os> Addresses<'a, O> {
    /// Room for those that `samples` has now, and some that come meanwhile.
    pub fn of(samples: &Samples, os: &'a O) -> Option<Self> {
        let mut words = 0;
        samples.for_each_stack(|site, _| words += samples.stack_of(site).count());
        let most = words + words / 4 + 1024;
        let slots = Scratch::new(os, (2 * most).next_power_of_two())?;
        Some(Addresses { slots, order: Scratch::new(os, most)?, count: 0, most })
    }

    /// All of them, in the order of their numbers.
    pub fn in_order(&self) -> &[usize] {
        self.order.get(..self.count).unwrap_or(&[])
    }

    fn place(&self, address: usize) -> impl Iterator<Item = usize> + use<O> {
        let mask = self.slots.len() - 1;
        let hash = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        (0..=mask).map(move |by| (hash as usize + by) & mask)
    }

    /// The number of an address that was taken in.
    pub fn number(&self, address: usize) -> Option<usize> {
        for at in self.place(address) {
            match *self.slots.get(at)? {
                [_, 0] => return None,
                [found, number] if found == address => return Some(number - 1),
                _ => {}
            }
        }
        None
    }

    /// Takes an address in. True where it is new.
    pub fn insert(&mut self, address: usize) -> bool {
        if self.count == self.most {
            return false;
        }
        for at in self.place(address) {
            match self.slots.get(at) {
                Some(&[_, 0]) => {
                    if let Some(place) = self.order.get_mut(self.count) {
                        *place = address;
                    }
                    self.count += 1;
                    if let Some(slot) = self.slots.get_mut(at) {
                        *slot = [address, self.count];
                    }
                    return true;
                }
                Some(&[found, _]) if found != address => {}
                _ => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::sim::Sim;

    #[test]
    fn each_address_has_one_number() {
        static SAMPLES: Samples = Samples::new();
        let os = Sim::new();
        let mut addresses = Addresses::of(&SAMPLES, &os).expect("memory");
        for round in 0..2 {
            for n in 0..1000 {
                assert_eq!(addresses.insert(n * 16), round == 0);
                assert_eq!(addresses.number(n * 16), Some(n));
            }
        }
        assert_eq!(addresses.number(7), None);
        assert!(addresses.in_order().iter().copied().eq((0..1000).map(|n| n * 16)));
    }
}
