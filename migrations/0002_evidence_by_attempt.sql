-- Answers are looked up by the attempt that they are about. An index over all of them, in the order
-- of instances, would have every answer to a read write a page of its own.
drop index evidence_of_instance;
create index evidence_of_attempt on evidence (attempt, at) where attempt is not null;

-- `evidence.id` begins with `at` in 16 hex digits from here on, before the hash; older rows keep
-- the bare hash.
