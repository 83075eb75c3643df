//! The rules judged from outside.
