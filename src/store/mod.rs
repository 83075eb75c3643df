//! What survives the process: targets, attempts, evidence, the ledger.
