//! The pure core: applies one input, then decides.
