-- One text for SQLite and PostgreSQL: only text and bigint columns, no STRICT tables.
-- Instants are UTC milliseconds since 1970. Flags are 0 or 1. An enumeration is its bare word
-- where it has no content, else a JSON object. `detail` is JSON of what nobody searches by.

-- Facts about the store itself: generation, created_at, clean_stop_at.
create table meta (
    key text not null primary key,
    value text not null
);

-- One instance in one campaign.
create table targets (
    campaign text not null,
    project text not null,
    instance text not null,
    -- index of its wave
    wave bigint not null,
    -- place in the campaign's order; an unsigned number in two's complement
    rank bigint not null,
    state text not null,
    -- why it ended as it did
    reason text,
    entered_at bigint not null,
    -- counts re-openings by an operator, from 1
    round bigint not null,
    -- number of the round's last attempt
    number bigint not null,
    -- attempts of this round that were sent and then found not applied
    not_applied bigint not null,
    -- end of a backoff
    not_before bigint,
    -- the cloud's task
    task text,
    overdue bigint not null,
    -- why an operator has to look
    needs_operator text,
    -- the operator who holds it
    held_by text,
    -- its failure no longer counts
    acknowledged bigint not null,
    detail text not null,
    primary key (campaign, project, instance)
);

-- One submission of a target, written before it is sent.
create table attempts (
    campaign text not null,
    project text not null,
    instance text not null,
    round bigint not null,
    number bigint not null,
    -- T0: when the intent was decided
    intent_at bigint not null,
    -- T0 on the cloud's clock
    cloud_intent_at bigint not null,
    -- the last instant at which it may be sent
    not_after bigint not null,
    -- exactly what is sent
    body text not null,
    -- open, uncertain, applied, not_applied, not_sent
    outcome text not null,
    -- the task of an applied one, if the cloud showed it
    task text,
    -- why it was not sent
    why text,
    -- null while it is open
    ended_at bigint,
    -- versions and tasks as they were before
    detail text not null,
    primary key (campaign, project, instance, round, number)
);

-- Rule S1: at most one open attempt per instance, over all campaigns.
create unique index attempts_open on attempts (project, instance) where ended_at is null;

create table campaigns (
    name text not null primary key,
    state text not null,
    detail text not null
);

-- One cloud project: both limiters, its stop and backoff, what was learned about it.
create table projects (
    name text not null primary key,
    detail text not null
);

create table credentials (
    name text not null primary key,
    -- salted hash of the secrets it was stopped with
    fingerprint text not null,
    -- why it is stopped
    stopped text
);

-- What the inventory last said of an instance that some campaign selects.
create table instances (
    project text not null,
    instance text not null,
    name text not null,
    cache_mode text not null,
    engine_version text not null,
    -- tags and zones
    detail text not null,
    primary key (project, instance)
);

-- Operators' freezes; those of the file are not here.
create table freezes (
    -- all, or a project or campaign
    scope text not null primary key,
    from_at bigint not null,
    -- null: until lifted
    until_at bigint,
    actor text not null,
    reason text
);

-- What happened. Only ever grows; seq has no gap.
create table ledger (
    seq bigint not null primary key,
    at bigint not null,
    campaign text,
    project text,
    instance text,
    attempt text,
    -- the operator behind it
    actor text,
    -- the event's name
    event text not null,
    -- the whole event as canonical JSON; the columns before it only repeat it for searches
    body text not null,
    -- hash of the row before it; 64 zeros before the first
    prev text not null,
    -- hex SHA-256 of prev and body, one after the other
    hash text not null
);

create index ledger_of_target on ledger (campaign, project, instance, seq);

-- What the cloud answered. Append-only, and never fenced: it proves what became of an attempt.
create table evidence (
    -- hex SHA-256 of the other columns, so that a repeated commit adds nothing
    id text not null primary key,
    at bigint not null,
    project text not null,
    instance text,
    -- the attempt that the answer is about
    attempt text,
    -- submitted, or the kind of read
    kind text not null,
    -- JSON
    body text not null
);

create index evidence_of_instance on evidence (project, instance, at);

-- Every set of effective settings and since when it applied.
create table settings (
    at bigint not null,
    digest text not null,
    -- every key with its value; references to secrets, never secrets
    effective text not null,
    primary key (at, digest)
);
