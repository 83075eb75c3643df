-- How long upgrades took, the latest of each class: what tells whether another still fits into a
-- window. The ledger tells the same, success by success.
create table durations (
    -- The instance's kind, and what was upgraded of it: engine, proxy, both.
    cache_mode text not null,
    parts text not null,
    -- JSON: milliseconds from the intent to the first sight of the finished upgrade, oldest first.
    samples text not null,
    primary key (cache_mode, parts)
);
