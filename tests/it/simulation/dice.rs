//! Draws of one seed, each by its own name: one draw more changes no other.

use refit::model::{Millis, draw};

#[derive(Debug, Clone, Copy)]
pub struct Dice(pub u64);

impl Dice {
    pub fn unit(self, purpose: &str) -> f64 {
        draw::unit(self.0, purpose, "simulation", 0)
    }

    /// A number from `least` to `most`, both included.
    pub fn number(self, purpose: &str, least: i64, most: i64) -> i64 {
        least + (self.unit(purpose) * (most - least + 1) as f64) as i64
    }

    pub fn small(self, purpose: &str, least: u32, most: u32) -> u32 {
        u32::try_from(self.number(purpose, least.into(), most.into())).expect("it is in range")
    }

    pub fn chance(self, purpose: &str, share: f64) -> bool {
        self.unit(purpose) < share
    }

    pub fn pick<'a, T>(self, purpose: &str, among: &'a [T]) -> &'a T {
        &among[self.number(purpose, 0, among.len() as i64 - 1) as usize]
    }

    pub fn seconds(self, purpose: &str, least: i64, most: i64) -> Millis {
        Millis::from_secs(self.number(purpose, least, most))
    }

    pub fn minutes(self, purpose: &str, least: i64, most: i64) -> Millis {
        Millis::from_mins(self.number(purpose, least, most))
    }
}
