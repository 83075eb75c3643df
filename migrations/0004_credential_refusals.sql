-- Requests refused since the credential last worked: the cloud locks a key for everyone after five
-- in a row, so that an operator's tries are counted over restarts.
alter table credentials add column refusals bigint not null default 0;
