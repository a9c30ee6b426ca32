#include "sink.h"

#include "lane.h"

#include "common/signals.h"
#include "common/timestamp.h"

#include <poll.h>
#include <sysexits.h>

#define HEARTBEAT_US 1000000

/* What ON CONFLICT cannot be used with shows at the first duplicate otherwise, and at each restart from then
 * on. */
bool sink_may_use(const struct sink_options *options, const struct table *table, char **error)
{
    bool updates = options->on_conflict == CONFLICT_UPDATE;
    bool names_key = updates || (table->has_exclusion && table->key_columns);
    if (options->on_conflict == CONFLICT_ERROR)
        return true;
    if (updates && !table->key_columns)
        *error =
            xasprintf("--on-conflict update needs a primary key, and table %s has none", table->sql_name);
    else if (names_key ? table->has_late_key : table->has_late_unique)
        *error = xasprintf(
            "table %s has a DEFERRABLE key, by which duplicates cannot be told in time; make it NOT "
            "DEFERRABLE, or reject them by --on-conflict error",
            table->sql_name);
    else if (table->has_rules)
        *error = xasprintf(
            "table %s has a rule for INSERT or UPDATE, and duplicates cannot be told beside one; make "
            "it a trigger, or reject them by --on-conflict error",
            table->sql_name);
    return !*error;
}

static int poll_timeout(int64_t left_us)
{
    if (left_us < 0 || left_us > HEARTBEAT_US)
        left_us = HEARTBEAT_US;
    return (int)((left_us + 999) / 1000);
}

static void note_signal(struct sink *sink)
{
    sink->is_stopping = true;
    intake_stop(&sink->intake, sink->filling);
}

static bool is_lane_talking(const struct sink *sink)
{
    enum lane_state state = sink->older.state;
    return state == LANE_COPYING || state == LANE_INSERTING || state == LANE_COMMITTING;
}

bool sink_wait(struct sink *sink, int fd, short events, int64_t timeout_us)
{
    int64_t deadline = timeout_us < 0 ? 0 : monotonic_microseconds() + timeout_us;
    for (;;) {
        bool reads = sink->mapping && intake_wants_more(&sink->intake, sink->filling);
        struct pollfd waiting[] = {
            {.fd = fd, .events = events},
            {.fd = reads ? sink->intake.reader.fd : -1, .events = POLLIN},
            {.fd = is_lane_talking(sink) ? PQsocket(sink->older.connection) : -1, .events = POLLIN},
            {.fd = sink->is_stopping ? -1 : sink->signal_fd, .events = POLLIN},
        };
        int64_t left = timeout_us < 0 ? -1 : deadline - monotonic_microseconds();
        if (timeout_us >= 0 && left <= 0)
            left = 0;
        int ready = poll(waiting, 4, poll_timeout(left));
        stats_heartbeat(sink->stats);
        if (ready > 0 && waiting[1].revents)
            intake_read(&sink->intake, sink->filling, sink->mapping);
        if (ready > 0 && waiting[2].revents)
            lane_advance(sink, &sink->older);
        if (ready > 0 && waiting[3].revents) {
            note_signal(sink);
            return waiting[0].revents != 0;
        }
        if (ready > 0 && waiting[0].revents)
            return true;
        if (ready > 0 && timeout_us < 0)
            return false; /* something was read: the caller looks again */
        if (ready > 0 && waiting[1].revents && sink->intake.is_at_end)
            return false;
        if (ready > 0 && waiting[2].revents && lane_is_over(&sink->older))
            return false;
        if (timeout_us >= 0 && monotonic_microseconds() >= deadline)
            return false;
    }
}

void sink_note_refusal(struct sink *sink)
{
    if (sink->refused_since != 0)
        return;
    sink->refused_since = monotonic_microseconds();
    stats_set(sink->stats, COUNTER_database_refused_since, (uint64_t)now_microseconds());
}

bool sink_back_off(struct sink *sink)
{
    sink_note_refusal(sink);
    bool is_over = sink->options.retry_for_us >= 0 &&
                   monotonic_microseconds() - sink->refused_since > sink->options.retry_for_us;
    int64_t wait = backoff_next(&sink->backoff);
    if (!is_over && !sink->is_stopping)
        sink_wait(sink, -1, 0, wait);
    if (!is_over && !sink->is_stopping)
        return true;
    log_error(&sink->log,
              is_over ? "PostgreSQL has refused for longer than --retry-for: giving up"
                      : "ending while PostgreSQL refuses; what was read and not stored is read again");
    sink->exit_code = EX_TEMPFAIL;
    return false;
}
