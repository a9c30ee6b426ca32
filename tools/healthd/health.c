#include "health.h"

#include "text.h"

#include "common/json_write.h"
#include "common/timestamp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static void add_reason(struct verdict *verdict, const char *format, ...)
{
    cleanup_free char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int len = vasprintf(&text, format, arguments);
    va_end(arguments);
    verdict->is_healthy = false;
    if (len >= 0)
        buffer_append(&verdict->reasons, text, (size_t)len + 1);
    else
        text = NULL;
}

static int64_t seconds(int64_t microseconds)
{
    return microseconds / 1000000;
}

static bool has_work(const struct pipeline_view *pipeline)
{
    return pipeline->lag > 0 || pipeline->figures.counters[COUNTER_records_in_flight] > 0;
}

/* The pipeline's entry, NULL if it was not watched yet. */
static struct progress *find_progress(struct progress_watch *watch, uint32_t pipeline)
{
    for (size_t i = 0; i < watch->count; i++)
        if (watch->pipelines[i].pipeline == pipeline)
            return &watch->pipelines[i];
    return NULL;
}

void progress_observe(struct progress_watch *watch, const struct snapshot *snapshot)
{
    struct progress_watch before = *watch;
    watch->count = 0;
    watch->now = monotonic_microseconds();
    for (size_t i = 0; i < snapshot->pipeline_count; i++) {
        const struct pipeline_view *pipeline = &snapshot->pipelines[i];
        uint64_t acked = pipeline->figures.counters[COUNTER_records_acked];
        const struct progress *old = find_progress(&before, pipeline->number);
        bool is_stuck =
            old && old->acked == acked && has_work(pipeline) && pipeline_has(pipeline, TOOL_KCAT_ACTIONS);
        watch->pipelines[watch->count++] =
            (struct progress){pipeline->number, acked, is_stuck ? old->since : watch->now};
    }
}

/* For how long, in microseconds, the pipeline has had work and not moved. Without a watch it is only what
 * the times in the counters prove: records are in flight, and for so long none was read, stored or
 * committed. */
static int64_t stuck_for(const struct pipeline_view *pipeline, const struct snapshot *snapshot,
                         const struct progress_watch *watch)
{
    if (watch) {
        for (size_t i = 0; i < watch->count; i++)
            if (watch->pipelines[i].pipeline == pipeline->number)
                return watch->now - watch->pipelines[i].since;
        return 0;
    }
    const uint64_t *counters = pipeline->figures.counters;
    if (counters[COUNTER_records_in_flight] == 0)
        return 0;
    int64_t moved = pipeline->tools[TOOL_KCAT_ACTIONS]->started;
    const enum counter times[] = {COUNTER_last_record_time, COUNTER_last_batch_time,
                                  COUNTER_last_commit_time};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if ((int64_t)counters[times[i]] > moved)
            moved = (int64_t)counters[times[i]];
    return snapshot->taken - moved;
}

/* A pipeline from Kafka to the database, which somebody counts on: not a backfill, a replay or a look
 * at a topic. */
static bool is_service(const struct pipeline_view *pipeline)
{
    return pipeline->tools[TOOL_KCAT_ACTIONS] && pipeline->tools[TOOL_PGSINK];
}

static bool is_all_gone(const struct pipeline_view *pipeline)
{
    for (enum tool tool = TOOL_NONE + 1; tool < TOOL_COUNT; tool++)
        if (pipeline_has(pipeline, tool))
            return false;
    return true;
}

/* It was told to end, and did. */
static bool has_retired(const struct pipeline_view *pipeline)
{
    return is_all_gone(pipeline) && pipeline->tools[TOOL_KCAT_ACTIONS]->counters[COUNTER_draining] != 0;
}

static void judge_presence(struct verdict *verdict, const struct pipeline_view *pipeline)
{
    if (!is_service(pipeline) || has_retired(pipeline))
        return;
    for (enum tool tool = TOOL_NONE + 1; tool < TOOL_COUNT; tool++)
        if (pipeline_lacks(pipeline, tool))
            add_reason(verdict, "pipeline %" PRIu32 ": %s is gone", pipeline->number, tool_names[tool]);
}

static void judge_heartbeats(struct verdict *verdict, const struct snapshot *snapshot, int64_t limit)
{
    for (size_t i = 0; i < snapshot->tool_count; i++) {
        const struct tool_view *tool = &snapshot->tools[i];
        int64_t age = snapshot->taken - tool->heartbeat;
        if (tool->is_alive && age > limit)
            add_reason(verdict, "pipeline %" PRIu32 ": the last heartbeat of %s is %" PRId64 " s old",
                       tool->pipeline, tool_names[tool->tool], seconds(age));
    }
}

static void judge_refusal(struct verdict *verdict, const struct pipeline_view *pipeline, int64_t now,
                          enum counter since, int64_t limit, const char *who)
{
    uint64_t start = pipeline->figures.counters[since];
    if (start && now - (int64_t)start > limit)
        add_reason(verdict, "pipeline %" PRIu32 ": %s has refused for %" PRId64 " s", pipeline->number, who,
                   seconds(now - (int64_t)start));
}

static void judge_progress(struct verdict *verdict, const struct pipeline_view *pipeline,
                           const struct snapshot *snapshot, int64_t limit, const struct progress_watch *watch)
{
    if (!has_work(pipeline) || !pipeline_has(pipeline, TOOL_KCAT_ACTIONS))
        return;
    int64_t stuck = stuck_for(pipeline, snapshot, watch);
    if (stuck > limit)
        add_reason(verdict,
                   "pipeline %" PRIu32 ": no record was acknowledged for %" PRId64 " s, with %" PRIu64
                   " in flight and a lag of %" PRIu64,
                   pipeline->number, seconds(stuck), pipeline->figures.counters[COUNTER_records_in_flight],
                   pipeline->lag);
}

static void count_processes(struct verdict *verdict, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->tool_count; i++)
        verdict->consumer_processes +=
            snapshot->tools[i].is_alive && snapshot->tools[i].tool == TOOL_KCAT_ACTIONS;
    for (size_t i = 0; i < snapshot->pipeline_count; i++)
        verdict->pipelines_running += pipeline_is_complete(&snapshot->pipelines[i]);
}

void health_judge(struct verdict *verdict, const struct snapshot *snapshot,
                  const struct health_limits *limits, const struct progress_watch *watch)
{
    *verdict = (struct verdict){.is_healthy = true};
    count_processes(verdict, snapshot);
    if (snapshot->tool_count == 0)
        add_reason(verdict, "no pipeline has started");
    else if (verdict->consumer_processes == 0)
        add_reason(verdict, "no kcat-actions is running");
    for (size_t i = 0; i < snapshot->pipeline_count; i++) {
        const struct pipeline_view *pipeline = &snapshot->pipelines[i];
        judge_presence(verdict, pipeline);
        judge_refusal(verdict, pipeline, snapshot->taken, COUNTER_database_refused_since, limits->database,
                      "PostgreSQL");
        judge_refusal(verdict, pipeline, snapshot->taken, COUNTER_dlq_refused_since, limits->dlq,
                      "the dead letter queue");
        judge_progress(verdict, pipeline, snapshot, limits->progress, watch);
    }
    judge_heartbeats(verdict, snapshot, limits->heartbeat);
}

void health_unknown(struct verdict *verdict, const char *reason)
{
    *verdict = (struct verdict){0};
    add_reason(verdict, "%s", reason);
}

void verdict_free(struct verdict *verdict)
{
    buffer_free(&verdict->reasons);
}

const char *verdict_reason(const struct verdict *verdict, size_t *at)
{
    if (*at >= verdict->reasons.len)
        return NULL;
    const char *reason = verdict->reasons.data + *at;
    *at += strlen(reason) + 1;
    return reason;
}

bool health_is_ready(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->pipeline_count; i++) {
        const struct pipeline_view *pipeline = &snapshot->pipelines[i];
        const uint64_t *counters = pipeline->figures.counters;
        if (pipeline_is_complete(pipeline) && counters[COUNTER_database_connected] &&
            (counters[COUNTER_partitions_assigned] || counters[COUNTER_kafka_connected]))
            return true;
    }
    return false;
}

void verdict_write_json(struct buffer *out, const struct verdict *verdict)
{
    json_open(out, '{');
    json_member(out, "status");
    json_write_string(out, slice_of_string(verdict->is_healthy ? "healthy" : "unhealthy"));
    json_member(out, "consumer");
    json_write_string(out, slice_of_string(verdict->is_healthy ? "running" : "stopped"));
    if (!verdict->is_healthy) {
        json_member(out, "reasons");
        json_open(out, '[');
        size_t at = 0;
        for (const char *reason; (reason = verdict_reason(verdict, &at));) {
            json_item(out);
            json_write_string(out, slice_of_string(reason));
        }
        json_close(out, ']');
    }
    json_member(out, "consumer_processes");
    buffer_append_int(out, verdict->consumer_processes);
    json_member(out, "pipelines_running");
    buffer_append_int(out, verdict->pipelines_running);
    json_close(out, '}');
    buffer_append_char(out, '\n');
}
