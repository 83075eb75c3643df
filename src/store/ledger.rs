//! The ledger: append-only, contiguous, each row hashed together with the one before it.
//!
//! The chain shows that no row was changed or removed by anything but a rewrite of all that
//! follow; it is not a defence against someone who owns the file.

use sha2::{Digest, Sha256};
use sqlx::AnyConnection;

use crate::engine::Event;
use crate::model::{CampaignName, TargetId, Wall};

use super::sql::{Binds, Cells, Insert};

pub(super) const INSERT: Insert = Insert {
    head: "insert into ledger (seq, at, campaign, project, instance, attempt, actor, event, \
           body, prev, hash) values",
    width: 11,
    tail: "",
};
pub(super) const LAST: &str = "select seq, hash from ledger order by seq desc limit 1";
pub(super) const LAST_AT: &str = "select at from ledger order by seq desc limit 1";
pub(super) const PAGE: &str =
    "select seq, prev, hash, body from ledger where seq > $1 order by seq limit $2";
pub(super) const OLDEST: &str = "select body from ledger where seq > $1 and at >= $2 \
     and (cast($3 as text) is null or campaign = $3) \
     and (cast($4 as text) is null or event = $4) order by seq limit $5";
pub(super) const NEWEST: &str = "select body from ledger where seq > $1 and at >= $2 \
     and (cast($3 as text) is null or campaign = $3) \
     and (cast($4 as text) is null or event = $4) order by seq desc limit $5";
pub(super) const OLDEST_OF_TARGET: &str = "select body from ledger where seq > $1 and at >= $2 \
     and campaign = $3 and (cast($4 as text) is null or event = $4) and project = $5 \
     and instance = $6 order by seq limit $7";
pub(super) const NEWEST_OF_TARGET: &str = "select body from ledger where seq > $1 and at >= $2 \
     and campaign = $3 and (cast($4 as text) is null or event = $4) and project = $5 \
     and instance = $6 order by seq desc limit $7";

const TABLE: &str = "ledger";

/// The hash that stands before the first row.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The end of the ledger: where the next row continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tail {
    pub seq: u64,
    pub hash: String,
}

impl Tail {
    pub fn empty() -> Tail {
        Tail { seq: 0, hash: GENESIS.into() }
    }

    pub async fn read(connection: &mut AnyConnection) -> Result<Tail, sqlx::Error> {
        let Some(row) = sqlx::query(LAST).fetch_optional(connection).await? else {
            return Ok(Tail::empty());
        };
        let mut cells = Cells::of(TABLE, &row);
        Ok(Tail { seq: cells.int()?.cast_unsigned(), hash: cells.text()?.into() })
    }

    /// The tail after one more row.
    pub fn after(&self, body: &str) -> Tail {
        let digest = Sha256::new().chain_update(&self.hash).chain_update(body).finalize();
        Tail { seq: self.seq + 1, hash: hex::encode(digest) }
    }
}

/// When the newest entry was written, by the clock as it went then.
pub(super) async fn last_at(connection: &mut AnyConnection) -> Result<Option<Wall>, sqlx::Error> {
    let row = sqlx::query(LAST_AT).fetch_optional(connection).await?;
    row.map(|row| Cells::of(TABLE, &row).int().map(Wall)).transpose()
}

/// One row, ready to be written.
pub(super) struct Entry<'a> {
    event: &'a Event,
    body: String,
    prev: String,
    hash: String,
}

/// A batch's events do not continue the ledger: a bug, or another writer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Break {
    #[error("the ledger ends at {last}, the next event is {next}")]
    NotContiguous { last: u64, next: u64 },
    #[error("the ledger holds another event {seq} than the one to be written")]
    Diverged { seq: u64 },
}

/// The rows that the ledger lacks: all of `events` that come after `stored`. A batch whose commit
/// had an unknown outcome starts at or before it; what is there already must be the same.
///
/// `known` is the tail as of the last commit that was acknowledged, from where `events` begin.
pub(super) fn entries<'a>(
    events: impl Iterator<Item = &'a Event>,
    known: &Tail,
    stored: &Tail,
) -> Result<(Vec<Entry<'a>>, Tail), Break> {
    let mut tail = known.clone();
    let mut entries = Vec::new();
    for event in events {
        if event.seq != tail.seq + 1 {
            return Err(Break::NotContiguous { last: tail.seq, next: event.seq });
        }
        let body = serde_json::to_string(event).expect("events always serialise");
        let next = tail.after(&body);
        if event.seq == stored.seq && next.hash != stored.hash {
            return Err(Break::Diverged { seq: event.seq });
        }
        if event.seq > stored.seq {
            entries.push(Entry { event, body, prev: tail.hash, hash: next.hash.clone() });
        }
        tail = next;
    }
    if tail.seq < stored.seq || (tail.seq == stored.seq && tail.hash != stored.hash) {
        return Err(Break::Diverged { seq: stored.seq });
    }
    Ok((entries, tail))
}

pub(super) async fn append(
    connection: &mut AnyConnection,
    entries: &[Entry<'_>],
) -> Result<(), sqlx::Error> {
    INSERT.run(connection, entries, Entry::write).await
}

impl Entry<'_> {
    fn write(&self, row: &mut Binds) {
        let event = self.event;
        row.int(event.seq.cast_signed())
            .int(event.at.0)
            .maybe_text(event.campaign.as_ref().map(|name| name.as_str()))
            .maybe_text(event.project.as_ref().map(|name| name.as_str()))
            .maybe_text(event.instance.as_ref().map(|id| id.as_str()))
            .maybe_text(event.attempt.as_ref().map(ToString::to_string).as_deref())
            .maybe_text(event.actor.as_deref())
            .text(event.fact.name())
            .text(&self.body)
            .text(&self.prev)
            .text(&self.hash);
    }
}

/// Which events to read. The default is all of them, oldest first, up to [`EVENTS_LIMIT`].
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    pub campaign: Option<CampaignName>,
    /// Overrides `campaign`.
    pub target: Option<TargetId>,
    /// Only events after this one.
    pub after_seq: u64,
    /// Only events at or after this instant.
    pub since: Option<Wall>,
    /// Only events of this name: `accepted`, `paused`.
    pub kind: Option<String>,
    pub order: EventOrder,
    pub limit: Option<u32>,
}

/// From which end of the ledger to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EventOrder {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// The most events that one read returns.
pub const EVENTS_LIMIT: u32 = 10_000;

pub(super) async fn events(
    connection: &mut AnyConnection,
    filter: &EventFilter,
) -> Result<Vec<Event>, sqlx::Error> {
    let text = match (&filter.target, filter.order) {
        (None, EventOrder::OldestFirst) => OLDEST,
        (None, EventOrder::NewestFirst) => NEWEST,
        (Some(_), EventOrder::OldestFirst) => OLDEST_OF_TARGET,
        (Some(_), EventOrder::NewestFirst) => NEWEST_OF_TARGET,
    };
    let campaign = filter.target.as_ref().map(|target| &target.campaign);
    let campaign = campaign.or(filter.campaign.as_ref()).map(|name| name.as_str());
    let limit = filter.limit.unwrap_or(EVENTS_LIMIT).min(EVENTS_LIMIT);
    let mut binds = Binds::default();
    binds
        .int(filter.after_seq.cast_signed())
        .int(filter.since.map_or(i64::MIN, |at| at.0))
        .maybe_text(campaign)
        .maybe_text(filter.kind.as_deref());
    if let Some(target) = &filter.target {
        binds.text(target.project.as_str()).text(target.instance.as_str());
    }
    binds.int(limit.into());
    let rows = sqlx::query_with(text, binds.0).fetch_all(connection).await?;
    rows.iter().map(|row| Cells::of(TABLE, row).json()).collect()
}

/// One row as the chain is checked: its numbers and hashes as stored, and its body.
pub(super) struct Link {
    pub seq: u64,
    pub prev: String,
    pub hash: String,
    pub body: String,
}

/// Up to `limit` rows after `after`.
pub(super) async fn page(
    connection: &mut AnyConnection,
    after: u64,
    limit: u32,
) -> Result<Vec<Link>, sqlx::Error> {
    let query = sqlx::query(PAGE).bind(after.cast_signed()).bind(i64::from(limit));
    let rows = query.fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let mut cells = Cells::of(TABLE, row);
            Ok(Link {
                seq: cells.int()?.cast_unsigned(),
                prev: cells.text()?.into(),
                hash: cells.text()?.into(),
                body: cells.text()?.into(),
            })
        })
        .collect()
}
