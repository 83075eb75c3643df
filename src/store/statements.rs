//! Every statement of the store in one list, so that a test can prepare each on both databases.

use crate::engine::rows::{
    AttemptRow, CampaignRow, CredentialRow, FreezeRow, InstanceRow, ProjectRow, TargetRow,
};

use super::sql::{CHUNKS, Insert};
use super::table::{self, Table};
use super::{evidence, ledger, schema, settings};

/// The texts that any database must understand, once the migrations are applied. SQLite's own
/// pragmas are not among them.
pub fn statements() -> Vec<String> {
    let mut texts: Vec<String> = [
        schema::APPLIED,
        schema::RECORD,
        schema::GET,
        schema::SET,
        schema::UNSET,
        settings::RECORD,
        settings::HISTORY,
        ledger::LAST,
        ledger::PAGE,
        ledger::OLDEST,
        ledger::NEWEST,
        ledger::OLDEST_OF_TARGET,
        ledger::NEWEST_OF_TARGET,
        evidence::OF_ATTEMPT,
        evidence::OF_INSTANCE,
        table::ATTEMPTS_OF_TARGET,
        table::TARGETS_OF_CAMPAIGN,
        table::LIFT,
    ]
    .map(str::to_owned)
    .into();
    texts.extend(sizes(&ledger::INSERT));
    texts.extend(sizes(&evidence::INSERT));
    texts.extend(of_table::<InstanceRow>());
    texts.extend(of_table::<TargetRow>());
    texts.extend(of_table::<AttemptRow>());
    texts.extend(of_table::<CampaignRow>());
    texts.extend(of_table::<ProjectRow>());
    texts.extend(of_table::<CredentialRow>());
    texts.extend(of_table::<FreezeRow>());
    texts
}

/// What makes an empty database a store, in order; each may hold several statements.
pub fn schema_texts() -> Vec<String> {
    schema::texts().map(str::to_owned).collect()
}

fn of_table<T: Table>() -> impl Iterator<Item = String> {
    sizes(&T::UPSERT).chain([T::SELECT.to_owned()])
}

fn sizes(insert: &Insert) -> impl Iterator<Item = String> {
    CHUNKS.iter().map(|rows| insert.text(*rows))
}
