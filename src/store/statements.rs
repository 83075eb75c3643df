//! Every statement of the store in one list, so that a test can prepare each on both databases.

use crate::engine::rows::{
    AttemptRow, CampaignRow, CredentialRow, DurationRow, FreezeRow, InstanceRow, ProjectRow,
    TargetRow,
};

use super::sql::{CHUNKS, Insert, Placeholders};
use super::table::{self, Table};
use super::{evidence, ledger, schema, settings};

/// The texts that the database of this name (`SQLite`, `PostgreSQL`) must understand, once the
/// migrations are applied. They differ in how values are named only; SQLite's own pragmas are not
/// among them.
pub fn statements(backend: &str) -> Vec<String> {
    let placeholders = Placeholders::of(backend);
    let mut texts: Vec<String> = [
        schema::APPLIED,
        schema::RECORD,
        schema::GET,
        schema::SET,
        schema::UNSET,
        settings::RECORD,
        settings::HISTORY,
        ledger::LAST,
        ledger::LAST_AT,
        ledger::PAGE,
        ledger::OLDEST,
        ledger::NEWEST,
        ledger::OLDEST_OF_TARGET,
        ledger::NEWEST_OF_TARGET,
        evidence::OF_ATTEMPT,
        table::ATTEMPTS_OF_TARGET,
        table::TARGETS_OF_CAMPAIGN,
        table::LIFT,
    ]
    .map(str::to_owned)
    .into();
    texts.extend(sizes(&ledger::INSERT, placeholders));
    texts.extend(sizes(&evidence::INSERT, placeholders));
    texts.extend(of_table::<InstanceRow>(placeholders));
    texts.extend(of_table::<TargetRow>(placeholders));
    texts.extend(of_table::<AttemptRow>(placeholders));
    texts.extend(of_table::<CampaignRow>(placeholders));
    texts.extend(of_table::<ProjectRow>(placeholders));
    texts.extend(of_table::<CredentialRow>(placeholders));
    texts.extend(of_table::<FreezeRow>(placeholders));
    texts.extend(of_table::<DurationRow>(placeholders));
    texts
}

/// What makes an empty database a store, in order; each may hold several statements.
pub fn schema_texts() -> Vec<String> {
    schema::texts().map(str::to_owned).collect()
}

fn of_table<T: Table>(placeholders: Placeholders) -> impl Iterator<Item = String> {
    sizes(&T::UPSERT, placeholders).chain([T::SELECT.to_owned()])
}

fn sizes(insert: &Insert, placeholders: Placeholders) -> impl Iterator<Item = String> {
    CHUNKS.iter().map(move |rows| insert.text(*rows, placeholders))
}
