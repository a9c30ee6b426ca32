-- partition.sql - makes agent_actions a table partitioned by month: a recipe for hundreds of millions of rows.
--
--   psql -v ON_ERROR_STOP=1 -f partition.sql         as the table's owner, with the pipelines drained
--
-- What is there stays: the table becomes the partition of all before next month, for which its primary key is
-- built anew (a minute for ten million rows; nobody can write meanwhile). Rows of months to come must be moved
-- first: the partition would not take them. Grants go over to the new table.
--
-- What changes: a partitioned table's key must have the column that it is partitioned by, so the primary key is
-- (id, created_at). An event that comes twice is still stored once if it brings its `timestamp`: id and
-- created_at are the same both times. One without gets now() each time, and would be stored twice: partition
-- only where all publishers send it. With `pgsink --on-conflict update` an event must keep its timestamp.
--
-- Then, monthly and for months ahead (cron, a timer):    SELECT agent_actions_add_partitions(3);
-- To be rid of a month, without a vacuum of what is left: DROP TABLE agent_actions_2026_01;
-- A time far off goes to agent_actions_default; a month whose rows are there already can only be added when
-- they have been moved.

\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;

SELECT to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY-MM-DD"T00:00:00Z"') AS next_month
\gset

ALTER TABLE agent_actions RENAME TO agent_actions_past;
ALTER TABLE agent_actions_past DROP CONSTRAINT agent_actions_pkey;
-- Their names are those of the new table's; what is the same is taken over when the table is attached.
SELECT format('ALTER INDEX %s RENAME TO %I', indexrelid::regclass, 'past_' || relname)
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = 'agent_actions_past'::regclass
\gexec

CREATE TABLE agent_actions (LIKE agent_actions_past INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)
PARTITION BY RANGE (created_at);
ALTER TABLE agent_actions ADD CONSTRAINT agent_actions_pkey PRIMARY KEY (id, created_at);

SELECT format('GRANT %s ON agent_actions TO %s', privilege_type,
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
FROM pg_class, aclexplode(relacl)
WHERE oid = 'agent_actions_past'::regclass AND grantee <> relowner
\gexec

COMMIT;

-- The indexes, the view and the function, for the table that now has the name.
\ir schema.sql

BEGIN;
ALTER TABLE agent_actions ATTACH PARTITION agent_actions_past FOR VALUES FROM (MINVALUE) TO (:'next_month');
CREATE TABLE agent_actions_default PARTITION OF agent_actions DEFAULT;

-- Adds the partitions of this month and so many after it, those that are missing; returns how many.
CREATE OR REPLACE FUNCTION agent_actions_add_partitions(months integer DEFAULT 3) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    first_day timestamp;
    added integer := 0;
BEGIN
    FOR month IN 0..months LOOP
        first_day := this_month + make_interval(months => month);
        -- agent_actions_past has the month that it was made in.
        CONTINUE WHEN to_regclass('agent_actions_' || to_char(first_day, 'YYYY_MM')) IS NOT NULL
            OR (SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO \(''([^'']*)''\)')::timestamptz
                FROM pg_class WHERE oid = to_regclass('agent_actions_past') AND relispartition)
               > first_day AT TIME ZONE 'UTC';
        EXECUTE format('CREATE TABLE %I PARTITION OF agent_actions FOR VALUES FROM (%L) TO (%L)',
                       'agent_actions_' || to_char(first_day, 'YYYY_MM'),
                       first_day AT TIME ZONE 'UTC', (first_day + interval '1 month') AT TIME ZONE 'UTC');
        added := added + 1;
    END LOOP;
    RETURN added;
END;
$$;

COMMENT ON FUNCTION agent_actions_add_partitions(integer) IS 'Adds the monthly partitions that are missing, returns how many';

SELECT agent_actions_add_partitions(3) AS partitions_added;
COMMIT;
