//! The addresses of all stacks, each once: numbered as they come.
#![forbid(unsafe_code)]

use super::scratch::Scratch;
use crate::os::Os;
use crate::samples::Samples;

/// Which address it is, and whether it was there before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Number {
    New(usize),
    Known(usize),
}

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
        let words = samples.addresses();
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

    /// The number of an address, which is taken in if it is new. None where there is no room for it.
    pub fn number(&mut self, address: usize) -> Option<Number> {
        for at in self.place(address) {
            match *self.slots.get(at)? {
                [_, 0] => {
                    *self.order.get_mut(self.count).filter(|_| self.count < self.most)? = address;
                    *self.slots.get_mut(at)? = [address, self.count + 1];
                    self.count += 1;
                    return Some(Number::New(self.count - 1));
                }
                [found, number] if found == address => return Some(Number::Known(number - 1)),
                _ => {}
            }
        }
        None
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
                let expected = if round == 0 { Number::New(n) } else { Number::Known(n) };
                assert_eq!(addresses.number(n * 16), Some(expected));
            }
        }
        assert!(addresses.in_order().iter().copied().eq((0..1000).map(|n| n * 16)));
        (1000..1024).for_each(|n| assert_eq!(addresses.number(n * 16), Some(Number::New(n))));
        assert_eq!(addresses.number(7), None, "there is room for 1024");
    }
}
