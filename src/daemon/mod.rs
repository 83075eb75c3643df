//! The process: step, commit, dispatch, publish.
