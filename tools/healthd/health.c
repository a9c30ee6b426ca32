#include "health.h"

#include "common/timestamp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* What to do, for each kind of finding. Commands stand between backquotes. */
static const char cure_start[] = "Start one: `systemctl start agent-actions`, or `agent-actions run`. If it "
                                 "ended by itself, its log says why: "
                                 "`journalctl -u agent-actions`.";
static const char cure_file[] = "It is the file that the tools got by AGENT_ACTIONS_STATS or --stats.";
static const char cure_gone[] =
    "Nothing is lost, and the supervising script starts it again. If it stays so, its log says why: "
    "`journalctl -u agent-actions`.";
static const char cure_hangs[] =
    "The process is stopped or hangs. Killing it is safe: the pipeline starts again where it was.";
static const char cure_kafka[] =
    "Nothing is lost, and it goes on by itself. See whether the brokers run and can be reached from here: "
    "`kcat -L -b $KAFKA_BROKERS`.";
static const char cure_database[] = "Nothing is lost: events wait in Kafka, and it goes on by itself. See "
                                    "whether PostgreSQL runs, has room on "
                                    "its disk and takes connections. The log of pgsink has its error.";
static const char cure_dlq[] = "Nothing is lost: no offset is committed before the dead letters are safe. "
                               "See whether the brokers run, and "
                               "whether the topic exists and may be written. The log of dlq has the error.";
static const char cure_progress[] =
    "See what the database waits for (locks and long transactions: `psql -c 'TABLE pg_stat_activity'`), and "
    "what the logs say. Killing a tool is safe: the pipeline starts again where it was.";
static const char cure_draining[] =
    "Nothing to do: no more is read, what is in flight is made safe, then it ends.";
static const char cure_rejects[] =
    "Their neighbours were stored. See the reasons: `agent-actions kcat-actions -t $KAFKA_TOPIC-dlq -e | jq "
    ".payload.error`. When the cause is mended: `agent-actions replay`.";

__attribute__((format(printf, 4, 5))) static void add(struct verdict *verdict, bool is_fault,
                                                      const char *cure, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int len = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (is_fault)
        verdict->is_healthy = false;
    verdict->findings = xreallocarray(verdict->findings, verdict->count + 1, sizeof *verdict->findings);
    verdict->findings[verdict->count++] =
        (struct finding){is_fault, len < 0 ? xstrdup("out of memory") : text, cure};
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

static bool is_draining(const struct pipeline_view *pipeline)
{
    return pipeline_has(pipeline, TOOL_KCAT_ACTIONS) && pipeline->figures.counters[COUNTER_draining];
}

static void judge_presence(struct verdict *verdict, const struct pipeline_view *pipeline)
{
    /* In a drain the tools end one behind the other. */
    if (!is_service(pipeline) || has_retired(pipeline) || is_draining(pipeline))
        return;
    for (enum tool tool = TOOL_NONE + 1; tool < TOOL_COUNT; tool++)
        if (pipeline_lacks(pipeline, tool))
            add(verdict, true, cure_gone, "pipeline %" PRIu32 ": %s is gone", pipeline->number,
                tool_names[tool]);
}

static void judge_heartbeats(struct verdict *verdict, const struct snapshot *snapshot, int64_t limit)
{
    for (size_t i = 0; i < snapshot->tool_count; i++) {
        const struct tool_view *tool = &snapshot->tools[i];
        int64_t age = snapshot->taken - tool->heartbeat;
        if (tool->is_alive && age > limit)
            add(verdict, true, cure_hangs,
                "pipeline %" PRIu32 ": the last heartbeat of %s is %" PRId64 " s old", tool->pipeline,
                tool_names[tool->tool], seconds(age));
    }
}

/* A refusal is told at once; it is a fault when it lasts. Returns whether it is. */
static bool judge_refusal(struct verdict *verdict, const struct pipeline_view *pipeline, int64_t now,
                          enum counter since, int64_t limit, const char *what, const char *cure)
{
    int64_t start = (int64_t)pipeline->figures.counters[since];
    if (!start)
        return false;
    add(verdict, now - start > limit, cure, "pipeline %" PRIu32 ": %s for %" PRId64 " s", pipeline->number,
        what, seconds(now > start ? now - start : 0));
    return now - start > limit;
}

static bool judge_refusals(struct verdict *verdict, const struct pipeline_view *pipeline, int64_t now,
                           const struct health_limits *limits)
{
    bool by_kafka = judge_refusal(verdict, pipeline, now, COUNTER_kafka_refused_since, limits->kafka,
                                  "no broker of Kafka has answered", cure_kafka);
    bool by_database = judge_refusal(verdict, pipeline, now, COUNTER_database_refused_since, limits->database,
                                     "PostgreSQL has refused", cure_database);
    bool by_dlq = judge_refusal(verdict, pipeline, now, COUNTER_dlq_refused_since, limits->dlq,
                                "the dead letter queue has refused", cure_dlq);
    return by_kafka || by_database || by_dlq;
}

static void judge_progress(struct verdict *verdict, const struct pipeline_view *pipeline,
                           const struct snapshot *snapshot, int64_t limit, const struct progress_watch *watch)
{
    if (!has_work(pipeline) || !pipeline_has(pipeline, TOOL_KCAT_ACTIONS) || is_draining(pipeline))
        return; /* a drain has a time limit of its own */
    int64_t stuck = stuck_for(pipeline, snapshot, watch);
    if (stuck > limit)
        add(verdict, true, cure_progress,
            "pipeline %" PRIu32 ": no record was acknowledged for %" PRId64 " s, with %" PRIu64
            " in flight and a lag of %" PRIu64,
            pipeline->number, seconds(stuck), pipeline->figures.counters[COUNTER_records_in_flight],
            pipeline->lag);
}

static void judge_draining(struct verdict *verdict, const struct snapshot *snapshot)
{
    size_t draining = 0, running = 0;
    for (size_t i = 0; i < snapshot->pipeline_count; i++) {
        const struct pipeline_view *pipeline = &snapshot->pipelines[i];
        running += pipeline_has(pipeline, TOOL_KCAT_ACTIONS);
        if (!is_draining(pipeline))
            continue;
        draining++;
        add(verdict, false, cure_draining, "pipeline %" PRIu32 ": draining, with %" PRIu64 " in flight",
            pipeline->number, pipeline->figures.counters[COUNTER_records_in_flight]);
    }
    verdict->is_draining = draining > 0 && draining == running;
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
        add(verdict, true, cure_start, "no pipeline has started");
    else if (verdict->consumer_processes == 0)
        add(verdict, true, cure_start, "no kcat-actions is running");
    for (size_t i = 0; i < snapshot->pipeline_count; i++) {
        const struct pipeline_view *pipeline = &snapshot->pipelines[i];
        judge_presence(verdict, pipeline);
        /* Who is refused does not get on either: one reason is enough. */
        if (!judge_refusals(verdict, pipeline, snapshot->taken, limits))
            judge_progress(verdict, pipeline, snapshot, limits->progress, watch);
    }
    judge_heartbeats(verdict, snapshot, limits->heartbeat);
    judge_draining(verdict, snapshot);
}

void health_note_rejects(struct verdict *verdict, uint64_t rejects, int64_t seconds_ago)
{
    if (rejects)
        add(verdict, false, cure_rejects, "%" PRIu64 " %s rejected in the last %" PRId64 " minutes", rejects,
            rejects == 1 ? "event was" : "events were", seconds_ago / 60);
}

void health_unknown(struct verdict *verdict, bool has_started, const char *reason)
{
    const char *cure = has_started ? cure_file : cure_start;
    *verdict = (struct verdict){0};
    add(verdict, true, cure, "%s", reason);
}

void verdict_free(struct verdict *verdict)
{
    for (size_t i = 0; i < verdict->count; i++)
        free(verdict->findings[i].text);
    free(verdict->findings);
}

bool health_is_ready(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->pipeline_count; i++) {
        const struct pipeline_view *pipeline = &snapshot->pipelines[i];
        const uint64_t *counters = pipeline->figures.counters;
        if (pipeline_is_complete(pipeline) && !is_draining(pipeline) &&
            counters[COUNTER_database_connected] && !counters[COUNTER_kafka_refused_since] &&
            (counters[COUNTER_partitions_assigned] || counters[COUNTER_kafka_connected]))
            return true;
    }
    return false;
}
