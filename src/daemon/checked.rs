//! The engine, with its rules checked at every step in debug builds.
//!
//! The checker is the one that simulations run, restated apart from the engine. A breach is a bug:
//! the process ends before anything of that step is committed or sent.

use crate::engine::{Engine, Input, Rows, Step};
use crate::model::{Millis, Steady};

#[cfg(debug_assertions)]
use crate::engine::check::Checker;

#[derive(Debug)]
pub(super) struct CheckedEngine {
    engine: Engine,
    #[cfg(debug_assertions)]
    checker: Checker,
}

impl CheckedEngine {
    /// As [`Engine::restore`], for a process whose steady time was just set to the wall clock.
    pub fn restore(rows: Rows, seed: u64) -> CheckedEngine {
        CheckedEngine {
            #[cfg(debug_assertions)]
            checker: Checker::new(&rows, Millis::ZERO),
            engine: Engine::restore(rows, Millis::ZERO, seed),
        }
    }

    /// As [`Engine::step`].
    #[cfg(debug_assertions)]
    pub fn step(&mut self, now: Steady, input: Input) -> Step {
        let step = self.engine.step(now, input.clone());
        self.checker.observe(now, &input, &step);
        let broken = self.checker.violations();
        for violation in broken {
            tracing::error!("rule {violation}");
        }
        if !broken.is_empty() {
            // The panic names no rule, since it could name a secret; the log must be out before it.
            super::logging::flush();
            panic!("the engine broke a rule");
        }
        step
    }

    /// As [`Engine::step`].
    #[cfg(not(debug_assertions))]
    pub fn step(&mut self, now: Steady, input: Input) -> Step {
        self.engine.step(now, input)
    }
}

impl std::ops::Deref for CheckedEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}
