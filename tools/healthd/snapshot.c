#include "snapshot.h"

#include "common/memory.h"
#include "common/timestamp.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum merge { MERGE_SUM, MERGE_SUM_LIVING, MERGE_ANY_LIVING, MERGE_LATEST, MERGE_EARLIEST_LIVING };

static enum merge merge_of(enum counter counter)
{
    switch (counter) {
    case COUNTER_records_in_flight:
    case COUNTER_bytes_in_flight:
        return MERGE_SUM;
    case COUNTER_kafka_connected:
    case COUNTER_database_connected:
    case COUNTER_draining:
        return MERGE_ANY_LIVING;
    case COUNTER_kafka_refused_since:
    case COUNTER_database_refused_since:
    case COUNTER_dlq_refused_since:
        return MERGE_EARLIEST_LIVING;
    default:
        break;
    }
    switch (counter_info[counter].kind) {
    case KIND_GAUGE:
        return MERGE_SUM_LIVING;
    case KIND_TIME:
        return MERGE_LATEST;
    default:
        return MERGE_SUM;
    }
}

static uint64_t merged(enum counter counter, uint64_t so_far, uint64_t value, bool is_alive)
{
    switch (merge_of(counter)) {
    case MERGE_SUM_LIVING:
        return so_far + (is_alive ? value : 0);
    case MERGE_ANY_LIVING:
        return so_far || (is_alive && value);
    case MERGE_LATEST:
        return value > so_far ? value : so_far;
    case MERGE_EARLIEST_LIVING:
        return is_alive && value && (!so_far || value < so_far) ? value : so_far;
    default:
        return so_far + value;
    }
}

static void add_histograms(struct figures *figures, const struct stats_slot *slot)
{
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
        const struct stats_histogram *from = &slot->histograms[i];
        struct histogram_view *to = &figures->histograms[i];
        for (size_t bucket = 0; bucket <= HISTOGRAM_BOUNDS; bucket++) {
            uint64_t count = atomic_load_explicit(&from->buckets[bucket], memory_order_relaxed);
            to->buckets[bucket] += count;
            to->count += count;
        }
        to->sum += atomic_load_explicit(&from->sum, memory_order_relaxed);
    }
}

static void add_figures(struct figures *figures, const struct tool_view *tool, const struct stats_slot *slot)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        figures->counters[i] =
            merged((enum counter)i, figures->counters[i], tool->counters[i], tool->is_alive);
    add_histograms(figures, slot);
}

int64_t process_rss(int32_t pid)
{
    char path[40], line[128];
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (len <= 0)
        return -1;
    line[len] = '\0';
    long long size, resident; /* in pages: proc(5) */
    if (sscanf(line, "%lld %lld", &size, &resident) != 2)
        return -1;
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

/* False for a slot that was never used. */
static bool read_tool(struct tool_view *tool, const struct stats_file *file, size_t index)
{
    const struct stats_slot *slot = stats_slot(file, index);
    uint32_t kind = slot->tool;
    if (kind == TOOL_NONE || kind >= TOOL_COUNT)
        return false;
    *tool = (struct tool_view){
        .tool = (enum tool)kind,
        .pipeline = slot->pipeline,
        .pid = slot->pid,
        .starts = slot->starts,
        .started = slot->started,
        .heartbeat = slot->heartbeat,
        .is_alive = stats_is_alive(file, index),
    };
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        tool->counters[i] = stats_get(slot, (enum counter)i);
    tool->rss = tool->is_alive ? process_rss(tool->pid) : -1;
    return true;
}

/* The pipeline's entry, put in its place by number if it is new. */
static struct pipeline_view *pipeline_entry(struct snapshot *snapshot, uint32_t number)
{
    size_t at = 0;
    while (at < snapshot->pipeline_count && snapshot->pipelines[at].number < number)
        at++;
    struct pipeline_view *entry = &snapshot->pipelines[at];
    if (at < snapshot->pipeline_count && entry->number == number)
        return entry;
    memmove(entry + 1, entry, (snapshot->pipeline_count - at) * sizeof *entry);
    snapshot->pipeline_count++;
    *entry = (struct pipeline_view){.number = number};
    return entry;
}

static void add_tool(struct pipeline_view *pipeline, const struct tool_view *tool)
{
    const struct tool_view **speaker = &pipeline->tools[tool->tool];
    pipeline->starts[tool->tool] += tool->starts;
    if (!*speaker || (tool->is_alive && !(*speaker)->is_alive) ||
        (tool->is_alive == (*speaker)->is_alive && tool->started > (*speaker)->started))
        *speaker = tool;
}

static int64_t partition_lag(int64_t committed, int64_t position, int64_t high_watermark)
{
    int64_t done = committed >= 0 ? committed : position;
    if (done < 0 || high_watermark < 0)
        return -1;
    return high_watermark > done ? high_watermark - done : 0;
}

static void add_partition(struct snapshot *snapshot, uint32_t pipeline, const struct stats_partition *from)
{
    if (snapshot->partition_count == snapshot->partition_capacity) {
        snapshot->partition_capacity = snapshot->partition_capacity ? snapshot->partition_capacity * 2 : 16;
        snapshot->partitions =
            xreallocarray(snapshot->partitions, snapshot->partition_capacity, sizeof *snapshot->partitions);
    }
    struct partition_view *to = &snapshot->partitions[snapshot->partition_count++];
    *to = (struct partition_view){
        .pipeline = pipeline,
        .topic = slice_of(from->topic, strnlen(from->topic, sizeof from->topic)),
        .partition = from->partition,
        .committed = atomic_load_explicit(&from->committed, memory_order_relaxed),
        .position = atomic_load_explicit(&from->position, memory_order_relaxed),
        .high_watermark = atomic_load_explicit(&from->high_watermark, memory_order_relaxed),
    };
    to->lag = partition_lag(to->committed, to->position, to->high_watermark);
}

static void add_partitions(struct snapshot *snapshot, uint32_t pipeline, const struct stats_slot *slot)
{
    uint32_t count = atomic_load_explicit(&slot->partition_count, memory_order_acquire);
    for (uint32_t i = 0; i < count && i < STATS_PARTITIONS; i++)
        if (slot->partitions[i].is_assigned)
            add_partition(snapshot, pipeline, &slot->partitions[i]);
}

static int compare_partitions(const void *left, const void *right)
{
    const struct partition_view *a = left, *b = right;
    if (a->pipeline != b->pipeline)
        return a->pipeline < b->pipeline ? -1 : 1;
    size_t shorter = a->topic.len < b->topic.len ? a->topic.len : b->topic.len;
    int order = memcmp(a->topic.data, b->topic.data, shorter);
    if (order || a->topic.len != b->topic.len)
        return order ? order : a->topic.len < b->topic.len ? -1 : 1;
    return (a->partition > b->partition) - (a->partition < b->partition);
}

/* Sorts the partitions and sums their lags. Where two processes of one pipeline read the same partition,
 * one stays: Prometheus refuses a series that comes twice. */
static void settle_partitions(struct snapshot *snapshot)
{
    struct partition_view *all = snapshot->partitions;
    size_t kept = 0;
    if (snapshot->partition_count)
        qsort(all, snapshot->partition_count, sizeof *all, compare_partitions);
    for (size_t i = 0; i < snapshot->partition_count; i++) {
        if (kept && compare_partitions(&all[kept - 1], &all[i]) == 0)
            continue;
        all[kept++] = all[i];
        uint64_t lag = all[i].lag > 0 ? (uint64_t)all[i].lag : 0;
        pipeline_entry(snapshot, all[i].pipeline)->lag += lag;
        snapshot->lag += lag;
    }
    snapshot->partition_count = kept;
}

void snapshot_take(struct snapshot *snapshot, const struct stats_file *file)
{
    struct partition_view *partitions = snapshot->partitions;
    size_t capacity = snapshot->partition_capacity;
    *snapshot = (struct snapshot){
        .taken = now_microseconds(), .partitions = partitions, .partition_capacity = capacity};
    for (size_t i = 0; i < STATS_SLOTS; i++) {
        struct tool_view *tool = &snapshot->tools[snapshot->tool_count];
        if (!read_tool(tool, file, i))
            continue;
        const struct stats_slot *slot = stats_slot(file, i);
        struct pipeline_view *pipeline = pipeline_entry(snapshot, tool->pipeline);
        snapshot->tool_count++;
        add_figures(&pipeline->figures, tool, slot);
        add_figures(&snapshot->total, tool, slot);
        add_tool(pipeline, tool);
        if (!tool->is_alive)
            continue;
        add_partitions(snapshot, tool->pipeline, slot);
        pipeline->memory += tool->rss > 0 ? (uint64_t)tool->rss : 0;
        snapshot->memory += tool->rss > 0 ? (uint64_t)tool->rss : 0;
        if (snapshot->taken - tool->started > snapshot->uptime)
            snapshot->uptime = snapshot->taken - tool->started;
    }
    settle_partitions(snapshot);
}

void snapshot_free(struct snapshot *snapshot)
{
    free(snapshot->partitions);
    *snapshot = (struct snapshot){0};
}

bool pipeline_lacks(const struct pipeline_view *pipeline, enum tool tool)
{
    return pipeline->tools[tool] && !pipeline->tools[tool]->is_alive;
}

bool pipeline_has(const struct pipeline_view *pipeline, enum tool tool)
{
    return pipeline->tools[tool] && pipeline->tools[tool]->is_alive;
}

bool pipeline_is_complete(const struct pipeline_view *pipeline)
{
    for (enum tool tool = TOOL_NONE + 1; tool < TOOL_COUNT; tool++)
        if (pipeline_lacks(pipeline, tool))
            return false;
    return pipeline_has(pipeline, TOOL_KCAT_ACTIONS);
}

void histogram_since(struct histogram_view *result, const struct histogram_view *now,
                     const struct histogram_view *before)
{
    *result = *now;
    if (now->count < before->count || now->sum < before->sum)
        return;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        result->buckets[i] -= before->buckets[i];
    result->count -= before->count;
    result->sum -= before->sum;
}

double histogram_quantile_ms(const struct histogram_view *histogram, double share)
{
    double wanted = share * (double)histogram->count, below = 0, from = 0;
    if (histogram->count == 0)
        return -1;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        double count = (double)histogram->buckets[i], to = (double)histogram_bounds[i];
        if (count > 0 && below + count >= wanted)
            return (from + (to - from) * (wanted - below) / count) / 1000.0;
        below += count;
        from = to;
    }
    return from / 1000.0;
}

double histogram_mean_ms(const struct histogram_view *histogram)
{
    return histogram->count ? (double)histogram->sum / (double)histogram->count / 1000.0 : 0.0;
}

uint64_t figures_failed(const struct figures *figures)
{
    return figures->counters[COUNTER_rows_rejected] + figures->counters[COUNTER_rejects_passed];
}
