-- maintenance.sql - clean-up, and what to look at: psql -f maintenance.sql
--
-- The statements stand alone: take the one you need. All but the clean-up only read. What each tells, and
-- what to do about it, is said above it.

\echo '== Clean-up: debug rows older than 30 days'
-- Daily, from cron or a systemd timer. The rows' space is used again after the next (auto)vacuum; it is
-- not given back to the file system.
SELECT cleanup_old_debug_logs() AS deleted_rows;

\echo '== Size of table and indexes'
-- `needed` is what an index would take if it were built now, estimated from its entries (equal entries share
-- room, so it may be smaller still). REINDEX ... CONCURRENTLY lets the pipelines run; it needs room for both.
WITH parts AS ( -- the table, or all its partitions
    SELECT 'agent_actions'::regclass::oid AS oid
    UNION SELECT relid FROM pg_partition_tree('agent_actions'::regclass)
), entry AS (
    SELECT indexrelid AS oid, -- header and pointer, null bitmap left out, values rounded up to 8 bytes
           12 + sum(ceil(coalesce(stats.avg_width, 8) / 8.0) * 8) AS width
    FROM pg_index
    JOIN parts ON parts.oid = indrelid
    JOIN pg_attribute AS attribute ON attribute.attrelid = indrelid AND attribute.attnum = ANY (indkey)
    JOIN pg_class AS part ON part.oid = indrelid
    LEFT JOIN pg_stats AS stats ON stats.schemaname = part.relnamespace::regnamespace::text
        AND stats.tablename = part.relname AND stats.attname = attribute.attname
    GROUP BY indexrelid
), sized AS (
    SELECT relation.oid, relation.relname, relation.relkind, relation.reltuples,
           pg_relation_size(relation.oid) AS size,
           ceil(greatest(relation.reltuples, 0) * entry.width / (8192 * 0.9))::bigint * 8192 AS needed
    FROM pg_class AS relation
    LEFT JOIN entry ON entry.oid = relation.oid
    WHERE relation.oid IN (SELECT oid FROM parts UNION SELECT oid FROM entry) AND relation.relkind IN ('r', 'i')
)
SELECT relname AS name,
       CASE relkind WHEN 'i' THEN 'index' ELSE 'table' END AS kind,
       pg_size_pretty(size) AS size,
       pg_size_pretty(needed) AS needed,
       reltuples::bigint AS rows_estimated,
       CASE WHEN relkind = 'i' AND reltuples >= 0 AND size > 1048576 AND size > 2 * needed
                THEN format('REINDEX INDEX CONCURRENTLY %s;', oid::regclass)
            ELSE 'nothing to do'
       END AS advice
FROM sized
ORDER BY sized.size DESC;

\echo '== Dead rows and vacuum'
-- Over 20 % dead for long: autovacuum does not keep up, or an old transaction holds it back (next query).
-- After a large clean-up:  VACUUM (ANALYZE) agent_actions;
-- A table that mostly grows is vacuumed by inserts too (autovacuum_vacuum_insert_scale_factor); for a large
-- one, sooner than by default:
--   ALTER TABLE agent_actions SET (autovacuum_vacuum_scale_factor = 0.05,
--                                  autovacuum_vacuum_insert_scale_factor = 0.05,
--                                  autovacuum_analyze_scale_factor = 0.02);
SELECT relname AS name,
       n_live_tup AS live_rows,
       n_dead_tup AS dead_rows,
       round(100.0 * n_dead_tup / nullif(n_live_tup + n_dead_tup, 0), 1) AS dead_percent,
       greatest(last_vacuum, last_autovacuum) AS last_vacuum,
       greatest(last_analyze, last_autoanalyze) AS last_analyze,
       CASE
           WHEN n_dead_tup > 10000 AND n_dead_tup > 0.2 * (n_live_tup + n_dead_tup)
               THEN format('VACUUM (ANALYZE) %s;', relid::regclass)
           WHEN greatest(last_analyze, last_autoanalyze) IS NULL AND n_live_tup > 10000
               THEN format('ANALYZE %s;', relid::regclass)
           ELSE 'nothing to do'
       END AS advice
FROM pg_stat_user_tables
WHERE relid IN (SELECT 'agent_actions'::regclass UNION SELECT relid FROM pg_partition_tree('agent_actions'::regclass))
ORDER BY n_dead_tup DESC;

\echo '== Transactions that hold vacuum back'
-- The oldest ones in the server. An "idle in transaction" of hours is a client to be mended or ended:
-- SELECT pg_terminate_backend(pid);
SELECT pid, usename, application_name, state, now() - xact_start AS open_for, left(query, 60) AS query
FROM pg_stat_activity
WHERE xact_start < now() - interval '5 minutes' AND pid <> pg_backend_pid()
ORDER BY xact_start
LIMIT 10;

\echo '== How much indexes are used'
-- An index that is never scanned over months (on the standbys too) costs each insert for nothing.
SELECT indexrelname AS index, idx_scan AS scans, pg_size_pretty(pg_relation_size(indexrelid)) AS size
FROM pg_stat_user_indexes
WHERE relid IN (SELECT 'agent_actions'::regclass UNION SELECT relid FROM pg_partition_tree('agent_actions'::regclass))
ORDER BY idx_scan, indexrelname;

\echo '== Distance to transaction id wrap-around'
-- Autovacuum sees to it by itself; over 1 billion it does not: look into the server's log.
SELECT max(age(relfrozenxid)) AS transactions, current_setting('autovacuum_freeze_max_age') AS vacuum_forced_at
FROM pg_class
WHERE oid IN (SELECT 'agent_actions'::regclass UNION SELECT relid FROM pg_partition_tree('agent_actions'::regclass));

\echo '== Rows by day and type, last week'
SELECT (created_at AT TIME ZONE 'UTC')::date AS day, action_type, count(*) AS rows
FROM agent_actions
WHERE created_at > now() - interval '7 days'
GROUP BY 1, 2
ORDER BY 1 DESC, 2;
