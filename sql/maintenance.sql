-- maintenance.sql - clean-up, and what to look at: psql -f maintenance.sql
--
-- The statements stand alone: take the one you need. All but the clean-up only read. What each tells, and
-- what to do about it, is said above it.

\echo '== Clean-up: debug rows older than 30 days'
-- Daily, from cron or a systemd timer. The rows' space is used again after the next (auto)vacuum; it is
-- not given back to the file system.
SELECT cleanup_old_debug_logs() AS deleted_rows;

\echo '== Size of table and indexes'
-- An index that is several times the size of its neighbours is bloated: REINDEX INDEX CONCURRENTLY name;
SELECT relation.relname AS name,
       CASE relation.relkind WHEN 'i' THEN 'index' ELSE 'table' END AS kind,
       pg_size_pretty(pg_relation_size(relation.oid)) AS size,
       relation.reltuples::bigint AS rows_estimated
FROM pg_class AS relation
WHERE relation.oid = 'agent_actions'::regclass
   OR relation.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'agent_actions'::regclass)
ORDER BY pg_relation_size(relation.oid) DESC;

\echo '== Dead rows and vacuum'
-- Over 20 % dead for long: autovacuum does not keep up, or an old transaction holds it back (next query).
-- After a large clean-up:  VACUUM (ANALYZE) agent_actions;
-- A table that mostly grows is vacuumed by inserts too (autovacuum_vacuum_insert_scale_factor); for a large
-- one, sooner than by default:
--   ALTER TABLE agent_actions SET (autovacuum_vacuum_scale_factor = 0.05,
--                                  autovacuum_vacuum_insert_scale_factor = 0.05,
--                                  autovacuum_analyze_scale_factor = 0.02);
SELECT n_live_tup AS live_rows,
       n_dead_tup AS dead_rows,
       round(100.0 * n_dead_tup / nullif(n_live_tup + n_dead_tup, 0), 1) AS dead_percent,
       greatest(last_vacuum, last_autovacuum) AS last_vacuum,
       greatest(last_analyze, last_autoanalyze) AS last_analyze,
       CASE
           WHEN n_dead_tup > 10000 AND n_dead_tup > 0.2 * (n_live_tup + n_dead_tup)
               THEN 'VACUUM (ANALYZE) agent_actions;'
           WHEN greatest(last_analyze, last_autoanalyze) IS NULL AND n_live_tup > 10000
               THEN 'ANALYZE agent_actions;'
           ELSE 'nothing to do'
       END AS advice
FROM pg_stat_user_tables
WHERE relid = 'agent_actions'::regclass;

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
WHERE relid = 'agent_actions'::regclass
ORDER BY idx_scan, indexrelname;

\echo '== Distance to transaction id wrap-around'
-- Autovacuum sees to it by itself; over 1 billion it does not: look into the server's log.
SELECT age(relfrozenxid) AS transactions, current_setting('autovacuum_freeze_max_age') AS vacuum_forced_at
FROM pg_class
WHERE oid = 'agent_actions'::regclass;

\echo '== Rows by day and type, last week'
SELECT (created_at AT TIME ZONE 'UTC')::date AS day, action_type, count(*) AS rows
FROM agent_actions
WHERE created_at > now() - interval '7 days'
GROUP BY 1, 2
ORDER BY 1 DESC, 2;
