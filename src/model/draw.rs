//! Draws without a stream: a keyed hash of what is drawn for.
//!
//! The same seed, purpose, id and number give the same draw in every process, so a restart draws
//! what the first run drew, and one extra draw changes no other (docs/decisions.md: draws).

use sha2::{Digest, Sha256};

use super::time::Millis;

/// A uniform draw in `[0, 1)`.
pub fn unit(seed: u64, purpose: &str, id: &str, number: u64) -> f64 {
    // 53 bits are what an f64 holds exactly.
    (bits(seed, purpose, id, number) >> 11) as f64 / (1u64 << 53) as f64
}

/// 64 uniform bits.
pub fn bits(seed: u64, purpose: &str, id: &str, number: u64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update((purpose.len() as u64).to_be_bytes());
    hash.update(purpose.as_bytes());
    hash.update((id.len() as u64).to_be_bytes());
    hash.update(id.as_bytes());
    hash.update(number.to_be_bytes());
    let bytes: [u8; 8] = hash.finalize()[..8].try_into().expect("a SHA-256 has 32 bytes");
    u64::from_be_bytes(bytes)
}

/// `length` spread by ± 20 %, so that pollers never fall into step.
pub fn spread(length: Millis, draw: f64) -> Millis {
    Millis((length.0 as f64 * (0.8 + 0.4 * draw)).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_each_of_its_keys_and_on_nothing_else() {
        let draw = unit(7, "backoff", "a/b/c", 1);
        assert_eq!(draw, unit(7, "backoff", "a/b/c", 1));
        for other in [
            unit(8, "backoff", "a/b/c", 1),
            unit(7, "poll", "a/b/c", 1),
            unit(7, "backoff", "a/b/d", 1),
            unit(7, "backoff", "a/b/c", 2),
        ] {
            assert_ne!(draw, other);
        }
        assert!((0.0..1.0).contains(&draw));
    }
}
