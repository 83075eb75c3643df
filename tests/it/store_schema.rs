//! Stores of older schemas: brought up in one transaction, or left as they were.

use std::path::Path;

use refit::store::Store;
use sqlx::{AnyConnection, Connection, Executor, Row};

use crate::store_samples::{NOW, Place, place, planned};

/// What each migration after the first made, undone.
const BACK: [(i64, &[&str]); 4] = [
    (5, &["drop table durations"]),
    (4, &["alter table credentials drop column refusals"]),
    (3, &["alter table credentials drop column stopped_at"]),
    (
        2,
        &[
            "drop index evidence_of_attempt",
            "create index evidence_of_instance on evidence (project, instance, at)",
        ],
    ),
];

/// A store as the version that knew only the migrations up to `schema` left it.
async fn older(schema: i64) -> Place {
    let place = place();
    let mut store = place.open().await;
    store.commit(&[planned(1, 0)]).await.unwrap();
    store.close(NOW).await.unwrap();
    let mut connection = connect(&place.path).await;
    for (migration, statements) in BACK {
        if migration > schema {
            for statement in statements {
                connection.execute(*statement).await.unwrap();
            }
            forget(&mut connection, migration).await;
        }
    }
    connection.close().await.unwrap();
    place
}

async fn connect(path: &Path) -> AnyConnection {
    AnyConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap()
}

async fn forget(connection: &mut AnyConnection, migration: i64) {
    let forgotten = sqlx::query("delete from migrations where version = $1").bind(migration);
    assert_eq!(forgotten.execute(connection).await.unwrap().rows_affected(), 1);
}

/// Tables with their columns, and indices, each on a line.
async fn shape(path: &Path) -> Vec<String> {
    let mut connection = connect(path).await;
    let columns = "select m.type || ' ' || m.name || ' ' || coalesce(c.name || ' ' || c.type, '') \
                   from sqlite_master m left join pragma_table_info(m.name) c order by 1";
    let rows = connection.fetch_all(columns).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_store_of_every_older_schema_is_brought_up_with_what_it_holds() {
    let newest = older(i64::MAX).await;
    for schema in 1..=BACK[0].0 {
        let place = older(schema).await;
        let before = shape(&place.path).await;
        assert_eq!(before == shape(&newest.path).await, schema == BACK[0].0, "{before:#?}");
        let mut store = Store::open(&place.path, NOW).await.unwrap();
        assert_eq!(store.load().await.unwrap().targets.len(), 1, "from schema {schema}");
        store.close(NOW).await.unwrap();
        assert_eq!(shape(&place.path).await, shape(&newest.path).await, "from schema {schema}");
    }
}

#[tokio::test]
async fn an_upgrade_that_fails_half_way_leaves_the_store_as_it_was() {
    let place = older(1).await;
    let mut connection = connect(&place.path).await;
    // The second migration works; the third finds its column there already.
    connection.execute("alter table credentials add column stopped_at bigint").await.unwrap();
    connection.close().await.unwrap();
    let before = shape(&place.path).await;
    let error = Store::open(&place.path, NOW).await.expect_err("the upgrade cannot work");
    assert!(error.to_string().contains("refit.db"), "{error}");
    assert_eq!(shape(&place.path).await, before);
    let mut connection = connect(&place.path).await;
    let applied = connection.fetch_all("select version from migrations").await.unwrap();
    assert_eq!(applied.len(), 1);
}
