-- When the credential was stopped, in milliseconds since 1970, UTC; null while it is not, and for
-- a stop that an earlier version wrote.
alter table credentials add column stopped_at bigint;
