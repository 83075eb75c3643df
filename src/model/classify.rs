//! From an HTTP status and an error code to the class that Refit reacts to.
