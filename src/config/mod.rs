//! The configuration file: raw TOML to validated settings, findings with positions.
