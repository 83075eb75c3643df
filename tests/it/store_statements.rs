//! Every statement is prepared on SQLite and on PostgreSQL.

use std::fs;
use std::path::Path;

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, SqlSafeStr};

use refit::store;

use crate::postgres::Postgres;
use crate::store_samples::place;

async fn prepare_all(connection: &mut AnyConnection) {
    for text in store::statements(connection.backend_name()) {
        if let Err(error) = connection.prepare(AssertSqlSafe(&*text).into_sql_str()).await {
            panic!("{}: {error}: {text}", connection.backend_name());
        }
    }
}

#[tokio::test]
async fn every_statement_is_prepared_on_sqlite() {
    let place = place();
    place.open().await.close(crate::store_samples::NOW).await.unwrap();
    let url = format!("sqlite://{}?mode=ro", place.path.display());
    prepare_all(&mut AnyConnection::connect(&url).await.unwrap()).await;
}

#[tokio::test]
async fn every_statement_is_prepared_on_postgresql() {
    let postgres = Postgres::start();
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&postgres.url()).await.unwrap();
    for text in store::schema_texts() {
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    }
    prepare_all(&mut connection).await;
    connection.close().await.unwrap();
}

#[test]
fn no_statement_is_missing_from_the_list() {
    let known = store::statements("SQLite");
    let mut found = 0;
    for text in literals(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")) {
        let text = unfold(&text);
        let is_statement = ["select ", "insert into ", "update ", "delete from "]
            .iter()
            .any(|verb| text.starts_with(verb));
        if is_statement {
            found += 1;
            assert!(known.iter().any(|one| one.starts_with(&text)), "not listed: {text}");
        }
    }
    assert!(found > 20, "only {found} statements found in the source");
}

/// Every string literal of the sources below `directory`, outside their tests.
fn literals(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(literals(&path));
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        found.extend(source.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    found
}

/// A literal as the compiler joins its lines.
fn unfold(literal: &str) -> String {
    literal.split("\\\n").map(str::trim_start).collect()
}
