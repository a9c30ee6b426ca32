-- schema.sql - the table of agent actions, its indexes, the view of recent traces and the clean-up.
--
-- Apply with `agent-actions init`, or psql -v ON_ERROR_STOP=1 -f schema.sql. Safe to apply again: what is
-- there stays as it is, the view and the function are brought up to date. Everything goes into the first
-- schema of search_path. Roles: roles.sql. Upkeep: maintenance.sql.

BEGIN;

SET LOCAL client_min_messages = warning; -- "already exists, skipping" is no news

CREATE TABLE IF NOT EXISTS agent_actions (
    -- The event's own id, or one derived from its content: a replay gives the same id, and adds no row.
    -- Derived ids begin with the event's time, so that the primary key grows at its right edge.
    id             uuid        PRIMARY KEY,
    correlation_id uuid        NOT NULL, -- ties together what was done for one request
    agent_name     text        NOT NULL,
    action_type    text        NOT NULL
        CONSTRAINT agent_actions_action_type_check
        CHECK (action_type IN ('tool_call', 'decision', 'error', 'success')),
    action_name    text        NOT NULL, -- Read, Write, select_agent …
    action_details jsonb       DEFAULT '{}'::jsonb,
    debug_mode     boolean     NOT NULL DEFAULT true,
    duration_ms    integer,
    created_at     timestamptz NOT NULL DEFAULT now() -- the event's timestamp, not the time of arrival
);

COMMENT ON TABLE  agent_actions IS 'What AI agents did: one row for each event of the Kafka topic agent-actions';
COMMENT ON COLUMN agent_actions.id IS 'The event''s own id, else a UUIDv8 of its time and the SHA-256 of its compact text';
COMMENT ON COLUMN agent_actions.correlation_id IS 'Ties together the actions done for one request';
COMMENT ON COLUMN agent_actions.debug_mode IS 'Debug rows are deleted after 30 days by cleanup_old_debug_logs()';
COMMENT ON COLUMN agent_actions.duration_ms IS 'How long the action took, in milliseconds';
COMMENT ON COLUMN agent_actions.created_at IS 'When the action happened (the event''s timestamp; UTC is meant where it has no zone)';

-- One trace; one trace in order; one agent; one type; the newest; the clean-up and the view below.
CREATE INDEX IF NOT EXISTS idx_agent_actions_correlation_id      ON agent_actions (correlation_id);
CREATE INDEX IF NOT EXISTS idx_agent_actions_agent_name          ON agent_actions (agent_name);
CREATE INDEX IF NOT EXISTS idx_agent_actions_action_type         ON agent_actions (action_type);
CREATE INDEX IF NOT EXISTS idx_agent_actions_created_at          ON agent_actions (created_at DESC);
CREATE INDEX IF NOT EXISTS idx_agent_actions_debug_mode          ON agent_actions (debug_mode) WHERE debug_mode = true;
CREATE INDEX IF NOT EXISTS idx_agent_actions_correlation_created ON agent_actions (correlation_id, created_at DESC);

-- The traces of the last 24 hours, the one that started last first. Rows of the same instant are told apart
-- by id, so that the timeline is the same each time one looks.
CREATE OR REPLACE VIEW recent_debug_traces AS
SELECT correlation_id,
       agent_name,
       count(*) AS action_count,
       min(created_at) AS trace_started,
       max(created_at) AS trace_ended,
       -- from the first action to the last; epoch holds across days, which extract(milliseconds) does not
       round(extract(epoch FROM max(created_at) - min(created_at)) * 1000, 3) AS total_duration_ms,
       count(*) FILTER (WHERE action_type = 'error') AS error_count,
       count(*) FILTER (WHERE action_type = 'success') AS success_count,
       jsonb_agg(jsonb_build_object('action_type', action_type,
                                    'action_name', action_name,
                                    'created_at', created_at)
                 ORDER BY created_at, id) AS actions_timeline
FROM agent_actions
WHERE debug_mode AND created_at > now() - interval '24 hours'
GROUP BY correlation_id, agent_name
ORDER BY trace_started DESC;

COMMENT ON VIEW recent_debug_traces IS 'Debug traces of the last 24 hours by correlation_id and agent, latest start first';

-- Deletes debug rows older than 30 days and returns how many.
CREATE OR REPLACE FUNCTION cleanup_old_debug_logs() RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    deleted integer;
BEGIN
    DELETE FROM agent_actions
    WHERE debug_mode AND created_at < now() - interval '30 days';
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END;
$$;

COMMENT ON FUNCTION cleanup_old_debug_logs() IS 'Deletes debug rows older than 30 days, returns how many';

COMMIT;
