//! The DCS and IAM client.
