#include "metrics.h"

#include "text.h"

#include "common/json_write.h"

static void member_int(struct buffer *out, const char *name, uint64_t value)
{
    json_member(out, name);
    buffer_append_int(out, (int64_t)value);
}

static void member_known(struct buffer *out, const char *name, int64_t value)
{
    json_member(out, name);
    text_json_known(out, value);
}

static void member_decimal(struct buffer *out, const char *name, double value)
{
    json_member(out, name);
    text_decimal(out, value, 3);
}

static double seconds(int64_t microseconds)
{
    return microseconds > 0 ? (double)microseconds / 1e6 : 0.0;
}

/* What the original had, in its order (R9), then what we add to it. */
static void write_totals(struct buffer *out, const struct snapshot *snapshot, double rate)
{
    const uint64_t *counters = snapshot->total.counters;
    member_decimal(out, "uptime_seconds", seconds(snapshot->uptime));
    member_int(out, "messages_consumed", counters[COUNTER_records_consumed]);
    member_int(out, "messages_inserted", counters[COUNTER_rows_inserted]);
    member_int(out, "messages_failed", figures_failed(&snapshot->total));
    member_int(out, "batches_processed", counters[COUNTER_batches_processed]);
    member_decimal(out, "avg_batch_processing_ms",
                   histogram_mean_ms(&snapshot->total.histograms[HISTOGRAM_batch_duration]));
    member_decimal(out, "messages_per_second", rate);
    json_member(out, "last_commit_time");
    text_json_time(out, (int64_t)counters[COUNTER_last_commit_time]);
    member_int(out, "messages_duplicate", counters[COUNTER_rows_duplicate]);
    member_int(out, "messages_updated", counters[COUNTER_rows_updated]);
    member_int(out, "messages_filtered", counters[COUNTER_records_filtered]);
    member_int(out, "messages_in_flight", counters[COUNTER_records_in_flight]);
    member_int(out, "messages_abandoned", counters[COUNTER_records_abandoned]);
    member_int(out, "consumer_lag", snapshot->lag);
}

static void write_partition(struct buffer *out, const struct partition_view *partition)
{
    json_item(out);
    json_open(out, '{');
    member_int(out, "pipeline", partition->pipeline);
    json_member(out, "topic");
    json_write_string(out, partition->topic);
    json_member(out, "partition");
    buffer_append_int(out, partition->partition);
    member_known(out, "committed", partition->committed);
    member_known(out, "position", partition->position);
    member_known(out, "high_watermark", partition->high_watermark);
    member_known(out, "lag", partition->lag);
    json_close(out, '}');
}

static void write_tool(struct buffer *out, const struct tool_view *tool, uint32_t starts, int64_t now)
{
    json_member(out, tool_names[tool->tool]);
    json_open(out, '{');
    json_member(out, "pid");
    text_json_known(out, tool->is_alive ? tool->pid : -1);
    json_member(out, "alive");
    buffer_append_string(out, tool->is_alive ? "true" : "false");
    member_decimal(out, "heartbeat_age_seconds", seconds(now - tool->heartbeat));
    member_int(out, "starts", starts);
    json_member(out, "uptime_seconds");
    if (tool->is_alive)
        text_decimal(out, seconds(now - tool->started), 3);
    else
        buffer_append_string(out, "null");
    member_known(out, "rss_bytes", tool->rss);
    json_close(out, '}');
}

static void write_counters(struct buffer *out, const uint64_t *counters)
{
    json_open(out, '{');
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        json_member(out, counter_info[i].name);
        if (counter_info[i].kind == KIND_TIME)
            text_json_time(out, (int64_t)counters[i]);
        else
            buffer_append_int(out, (int64_t)counters[i]);
    }
    json_close(out, '}');
}

static void write_pipeline(struct buffer *out, const struct pipeline_view *pipeline, int64_t now)
{
    json_item(out);
    json_open(out, '{');
    member_int(out, "pipeline", pipeline->number);
    json_member(out, "tools");
    json_open(out, '{');
    for (enum tool tool = TOOL_NONE + 1; tool < TOOL_COUNT; tool++)
        if (pipeline->tools[tool])
            write_tool(out, pipeline->tools[tool], pipeline->starts[tool], now);
    json_close(out, '}');
    json_member(out, "counters");
    write_counters(out, pipeline->figures.counters);
    json_close(out, '}');
}

void metrics_write_json(struct buffer *out, const struct snapshot *snapshot, double rate)
{
    json_open(out, '{');
    write_totals(out, snapshot, rate);
    json_member(out, "partitions");
    json_open(out, '[');
    for (size_t i = 0; i < snapshot->partition_count; i++)
        write_partition(out, &snapshot->partitions[i]);
    json_close(out, ']');
    json_member(out, "pipelines");
    json_open(out, '[');
    for (size_t i = 0; i < snapshot->pipeline_count; i++)
        write_pipeline(out, &snapshot->pipelines[i], snapshot->taken);
    json_close(out, ']');
    json_close(out, '}');
    buffer_append_char(out, '\n');
}
