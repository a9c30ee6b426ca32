#include "metrics.h"

#include "text.h"

#include <inttypes.h>

#define PREFIX "agent_actions_"

static void family(struct buffer *out, const char *name, const char *suffix, const char *type,
                   const char *help)
{
    text_format(out, "# HELP " PREFIX "%s%s %s\n", name, suffix, help);
    text_format(out, "# TYPE " PREFIX "%s%s %s\n", name, suffix, type);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void label_value(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '\\' || c == '"')
            buffer_append_char(out, '\\');
        buffer_append_string(out, c == '\n' ? "\\n" : "");
        if (c != '\n')
            buffer_append_char(out, c);
    }
}

static double seconds(int64_t microseconds)
{
    return (double)microseconds / 1e6;
}

static int name_length_of_time(const char *name)
{
    size_t len = strlen(name), tail = strlen("_time");
    return (int)(len > tail && strcmp(name + len - tail, "_time") == 0 ? len - tail : len);
}

static void write_time_family(struct buffer *out, const struct snapshot *snapshot, enum counter counter)
{
    const struct counter_info *info = &counter_info[counter];
    cleanup_free char *name = xstrndup(info->name, (size_t)name_length_of_time(info->name));
    family(out, name, "_timestamp_seconds", "gauge", info->help);
    for (size_t i = 0; i < snapshot->pipeline_count; i++) {
        const struct pipeline_view *pipeline = &snapshot->pipelines[i];
        int64_t time = (int64_t)pipeline->figures.counters[counter];
        if (time > 0)
            text_format(out, PREFIX "%s_timestamp_seconds{pipeline=\"%" PRIu32 "\"} %.6f\n", name,
                        pipeline->number, seconds(time));
    }
}

static void write_counter_family(struct buffer *out, const struct snapshot *snapshot, enum counter counter)
{
    const struct counter_info *info = &counter_info[counter];
    bool is_counter = info->kind == KIND_COUNTER;
    const char *suffix = is_counter ? "_total" : "";
    family(out, info->name, suffix, is_counter ? "counter" : "gauge", info->help);
    for (size_t i = 0; i < snapshot->pipeline_count; i++)
        text_format(out, PREFIX "%s%s{pipeline=\"%" PRIu32 "\"} %" PRIu64 "\n", info->name, suffix,
                    snapshot->pipelines[i].number, snapshot->pipelines[i].figures.counters[counter]);
}

static void write_histogram(struct buffer *out, const char *name, uint32_t pipeline,
                            const struct histogram_view *histogram)
{
    uint64_t below = 0;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        below += histogram->buckets[i];
        text_format(out, PREFIX "%s_seconds_bucket{pipeline=\"%" PRIu32 "\",le=\"%g\"} %" PRIu64 "\n", name,
                    pipeline, seconds(histogram_bounds[i]), below);
    }
    text_format(out, PREFIX "%s_seconds_bucket{pipeline=\"%" PRIu32 "\",le=\"+Inf\"} %" PRIu64 "\n", name,
                pipeline, histogram->count);
    text_format(out, PREFIX "%s_seconds_sum{pipeline=\"%" PRIu32 "\"} %.6f\n", name, pipeline,
                seconds((int64_t)histogram->sum));
    text_format(out, PREFIX "%s_seconds_count{pipeline=\"%" PRIu32 "\"} %" PRIu64 "\n", name, pipeline,
                histogram->count);
}

static void write_counters(struct buffer *out, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        (counter_info[i].kind == KIND_TIME ? write_time_family : write_counter_family)(out, snapshot,
                                                                                       (enum counter)i);
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
        family(out, histogram_info[i].name, "_seconds", "histogram", histogram_info[i].help);
        for (size_t p = 0; p < snapshot->pipeline_count; p++)
            write_histogram(out, histogram_info[i].name, snapshot->pipelines[p].number,
                            &snapshot->pipelines[p].figures.histograms[i]);
    }
}

static void write_partition_family(struct buffer *out, const struct snapshot *snapshot, const char *name,
                                   const char *help, size_t member)
{
    family(out, name, "", "gauge", help);
    for (size_t i = 0; i < snapshot->partition_count; i++) {
        const struct partition_view *partition = &snapshot->partitions[i];
        int64_t value;
        memcpy(&value, (const char *)partition + member, sizeof value);
        if (value < 0)
            continue;
        text_format(out, PREFIX "%s{pipeline=\"%" PRIu32 "\",topic=\"", name, partition->pipeline);
        label_value(out, partition->topic);
        text_format(out, "\",partition=\"%" PRId32 "\"} %" PRId64 "\n", partition->partition, value);
    }
}

static void write_partitions(struct buffer *out, const struct snapshot *snapshot)
{
    write_partition_family(out, snapshot, "consumer_lag",
                           "Records that are in the partition and not yet safe",
                           offsetof(struct partition_view, lag));
    write_partition_family(out, snapshot, "committed_offset", "Next offset as the group has it",
                           offsetof(struct partition_view, committed));
    write_partition_family(out, snapshot, "position_offset", "Next offset to be read",
                           offsetof(struct partition_view, position));
    write_partition_family(out, snapshot, "high_watermark_offset", "End of the partition as last heard",
                           offsetof(struct partition_view, high_watermark));
}

enum tool_figure { UP, TOOL_UP, TOOL_STARTS, TOOL_STARTED, TOOL_HEARTBEAT, TOOL_MEMORY, TOOL_FIGURES };
static const struct {
    const char *name, *type, *help;
} tool_figures[TOOL_FIGURES] = {
    [UP] = {"up", "gauge", "1 while the tool's process lives"},
    [TOOL_UP] = {"tool_up", "gauge", "The same as agent_actions_up, by its older name"},
    [TOOL_STARTS] = {"tool_starts_total", "counter", "Processes of the tool so far"},
    [TOOL_STARTED] = {"tool_start_timestamp_seconds", "gauge", "When the living process started"},
    [TOOL_HEARTBEAT] = {"tool_heartbeat_timestamp_seconds", "gauge", "When the tool last said that it lives"},
    [TOOL_MEMORY] = {"tool_resident_memory_bytes", "gauge", "Resident memory of the living process"},
};

/* False where there is nothing to tell. */
static bool tool_figure(const struct pipeline_view *pipeline, enum tool tool, enum tool_figure figure,
                        double *value)
{
    const struct tool_view *view = pipeline->tools[tool];
    if (!view)
        return false;
    switch (figure) {
    case UP:
    case TOOL_UP:
        *value = view->is_alive;
        return true;
    case TOOL_STARTS:
        *value = pipeline->starts[tool];
        return true;
    case TOOL_STARTED:
        *value = seconds(view->started);
        return view->is_alive;
    case TOOL_HEARTBEAT:
        *value = seconds(view->heartbeat);
        return true;
    default:
        *value = (double)view->rss;
        return *value >= 0;
    }
}

static void write_tools(struct buffer *out, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < TOOL_FIGURES; i++) {
        family(out, tool_figures[i].name, "", tool_figures[i].type, tool_figures[i].help);
        for (size_t p = 0; p < snapshot->pipeline_count; p++)
            for (enum tool tool = TOOL_NONE + 1; tool < TOOL_COUNT; tool++) {
                const struct pipeline_view *pipeline = &snapshot->pipelines[p];
                double value;
                if (tool_figure(pipeline, tool, (enum tool_figure)i, &value))
                    text_format(out, PREFIX "%s{tool=\"%s\",pipeline=\"%" PRIu32 "\"} %.*f\n",
                                tool_figures[i].name, tool_names[tool], pipeline->number,
                                i == TOOL_STARTED || i == TOOL_HEARTBEAT ? 6 : 0, value);
            }
    }
}

void metrics_write_prometheus(struct buffer *out, const struct snapshot *snapshot, bool is_healthy)
{
    family(out, "build_info", "", "gauge", "Always 1; the version is a label");
    text_format(out, PREFIX "build_info{version=\"%s\"} 1\n", VERSION);
    family(out, "healthy", "", "gauge", "1 while /health says healthy");
    text_format(out, PREFIX "healthy %d\n", is_healthy);
    write_tools(out, snapshot);
    write_counters(out, snapshot);
    write_partitions(out, snapshot);
}
