//! Text from the cloud, from files and from operators, made harmless for a terminal; what that
//! means is told in `model::text`.

pub use crate::model::text::{lines as block, one_line as line};
