//! The nearest of some words to one that was misspelt.
#![forbid(unsafe_code)]

/// Letters of a word that are looked at. No key is longer.
const MOST: usize = 31;

/// The word that most resembles `text`, if any does: two in three letters are right, and in order.
pub fn nearest<'a>(text: &[u8], words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let with_distance = words.map(|word| (distance(text, word.as_bytes()), word));
    let (distance, word) = with_distance.min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= text.len().max(word.len())).then_some(word)
}

/// How many letters have to be put in, left out, changed or swapped with the next one to make one word of the
/// other. Capitals are no other letters. What is longer than `MOST` resembles nothing.
fn distance(text: &[u8], word: &[u8]) -> usize {
    if text.len() > MOST || word.len() > MOST {
        return usize::MAX / 4;
    }
    // The rows of the table of all pairs of beginnings: the one before the last, the last, this one.
    let mut rows = [[0usize; MOST + 1]; 3];
    for (at, cell) in rows[1].iter_mut().enumerate() {
        *cell = at;
    }
    let mut previous = 0;
    for (place, letter) in text.iter().map(u8::to_ascii_lowercase).enumerate() {
        let [before, last, this] = &mut rows;
        let mut left = place + 1;
        this[0] = left;
        let mut other = 0;
        for (at, &letter_of) in word.iter().enumerate() {
            let (above, corner) = (cell(last, at + 1), cell(last, at));
            let mut least = (above.min(left) + 1).min(corner + (letter != letter_of) as usize);
            let swapped = place > 0 && at > 0 && letter == other && previous == letter_of;
            if swapped {
                least = least.min(cell(before, at - 1) + 1);
            }
            if let Some(cell) = this.get_mut(at + 1) {
                *cell = least;
            }
            (left, other) = (least, letter_of);
        }
        previous = letter;
        let [before, last, this] = rows;
        rows = [last, this, before];
    }
    cell(&rows[1], word.len())
}

fn cell(row: &[usize; MOST + 1], at: usize) -> usize {
    row.get(at).copied().unwrap_or(usize::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        let of = |a: &str, b: &str| distance(a.as_bytes(), b.as_bytes());
        assert_eq!((of("", ""), of("abc", "abc"), of("ABC", "abc")), (0, 0, 0));
        assert_eq!((of("", "abc"), of("abc", ""), of("kitten", "sitting")), (3, 3, 3));
        assert_eq!((of("abdc", "abcd"), of("ca", "ac"), of("treshold", "threshold")), (1, 1, 1));
        assert!(of(&"x".repeat(40), "x") > 1000);
    }

    #[test]
    fn a_misspelt_word_has_a_nearest_one_and_another_word_has_none() {
        let words = ["mmap_threshold", "dirty_floor", "decay", "name"];
        let of = |text: &str| nearest(text.as_bytes(), words.into_iter());
        assert_eq!(of("mmap_treshold"), Some("mmap_threshold"));
        assert_eq!(of("MMAP_THRESHOLD"), Some("mmap_threshold"));
        assert_eq!(of("dirtyfloor"), Some("dirty_floor"));
        assert_eq!((of("deacy"), of("nmae")), (Some("decay"), Some("name")));
        assert_eq!((of("zzzzz"), of("x"), of("")), (None, None, None));
    }
}
