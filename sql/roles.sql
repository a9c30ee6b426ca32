-- roles.sql - who may do what: a recipe with the least privileges that do. No passwords here.
--
--   agent_actions_writer   what pgsink needs, and no more
--   agent_actions_reader   for people and dashboards
--   agent_actions_keeper   for the clean-up job
--
-- Apply after schema.sql, as a role that may create roles, in the same database and search_path:
--   psql -v ON_ERROR_STOP=1 -f roles.sql
-- Safe to apply again. They are group roles, which cannot log in: give a login to whom it belongs,
--   CREATE ROLE consumer LOGIN IN ROLE agent_actions_writer;   and set its secret with \password consumer
-- (\password sends a hash; a PASSWORD clause would end up in logs and in psql's history).

BEGIN;

SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY['agent_actions_writer', 'agent_actions_reader', 'agent_actions_keeper']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

SELECT format('GRANT CONNECT ON DATABASE %I TO agent_actions_writer, agent_actions_reader, agent_actions_keeper',
              current_database())
\gexec
SELECT format('GRANT USAGE ON SCHEMA %I TO agent_actions_writer, agent_actions_reader, agent_actions_keeper',
              current_schema())
\gexec

-- INSERT for COPY and INSERT; SELECT since INSERT … ON CONFLICT reads the key it looks for.
GRANT INSERT, SELECT ON agent_actions TO agent_actions_writer;
-- TEMP for the stage that pgsink puts batches with duplicates in. Without it pgsink has a slower way.
SELECT format('GRANT TEMPORARY ON DATABASE %I TO agent_actions_writer', current_database())
\gexec
-- Only with pgsink --on-conflict update:
-- GRANT UPDATE ON agent_actions TO agent_actions_writer;

GRANT SELECT ON agent_actions, recent_debug_traces TO agent_actions_reader;

GRANT SELECT, DELETE ON agent_actions TO agent_actions_keeper;
REVOKE EXECUTE ON FUNCTION cleanup_old_debug_logs() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cleanup_old_debug_logs() TO agent_actions_keeper;

COMMIT;
