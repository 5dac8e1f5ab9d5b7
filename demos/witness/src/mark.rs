//! How a process tells its tracer where it is: a system call that does nothing.
//!
//! `prctl` with an option nobody has defined fails with EINVAL and touches no memory. A tracer that is told to stop
//! at it gets the four numbers with it, in order with the calls around; there is no pipe to fill and nothing to
//! allocate.

/// "brkm": the option of `prctl` that makes a call a mark.
pub const OPTION: u32 = 0x6272_6b6d;

/// What a mark carries.
pub type Words = [u64; 4];

pub fn send(words: Words) {
    let [first, second, third, fourth] = words;
    // SAFETY: an undefined prctl option is refused with EINVAL before any argument is used.
    unsafe { libc::syscall(libc::SYS_prctl, u64::from(OPTION), first, second, third, fourth) };
}

/// As much text as four words hold; the rest of a longer one is lost.
pub fn send_text(text: &str) {
    send(packed(text));
}

fn packed(text: &str) -> Words {
    let mut bytes = [0; 32];
    let len = text.len().min(bytes.len());
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    let mut words = [0; 4];
    for (word, eight) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*eight);
    }
    words
}

/// The text that `send_text` was given.
pub fn text(words: Words) -> String {
    let bytes = words.map(u64::to_ne_bytes).concat();
    let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..len]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_the_way_through_the_words() {
        for kept in ["", "a", "exactly-8", "begin main-large", "of thirty-two bytes and no more."] {
            assert_eq!(text(packed(kept)), kept);
        }
        assert_eq!(text(packed(&"x".repeat(40))), "x".repeat(32));
    }
}
