#include "page.h"

#include "html.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>

#define PARTITION_ROWS 200 /* a page for people: /metrics has them all */

struct page {
    const struct monitor *monitor;
    const struct verdict *verdict;
};

static void write_status(struct buffer *out, const struct page *page)
{
    page_write_status(out, page->monitor, page->verdict);
}

static void open_card(struct buffer *out, const char *label)
{
    text_format(out, "<div><dt>%s</dt><dd>", label);
}

static void close_card(struct buffer *out)
{
    buffer_append_string(out, "</dd></div>\n");
}

static void card(struct buffer *out, const char *label, uint64_t value)
{
    open_card(out, label);
    html_grouped(out, value);
    close_card(out);
}

static void write_figures(struct buffer *out, const struct page *page)
{
    const struct snapshot *snapshot = &page->monitor->snapshot;
    const uint64_t *counters = snapshot->total.counters;
    struct history_span hour;
    if (!page->monitor->has_snapshot)
        return;
    history_span(&hour, &page->monitor->history, HISTORY_SAMPLES);
    open_card(out, "Messages a second");
    text_decimal(out, monitor_rate(page->monitor), 1);
    close_card(out);
    card(out, "Lag", snapshot->lag);
    card(out, "In flight", counters[COUNTER_records_in_flight]);
    card(out, "Rejects, last hour", hour.failed);
    open_card(out, "Last commit");
    html_moment(out, (int64_t)counters[COUNTER_last_commit_time], snapshot->taken);
    close_card(out);
    open_card(out, "Uptime");
    html_duration(out, snapshot->uptime);
    close_card(out);
    card(out, "Consumed", counters[COUNTER_records_consumed]);
    card(out, "Inserted", counters[COUNTER_rows_inserted]);
    card(out, "Duplicates", counters[COUNTER_rows_duplicate]);
    card(out, "Failed", figures_failed(&snapshot->total));
    card(out, "In the dead letter queue", counters[COUNTER_rejects_published]);
    card(out, "Batches", counters[COUNTER_batches_processed]);
}

enum unit { UNIT_RATE, UNIT_COUNT, UNIT_MS, UNIT_MIB };

static void write_value(struct buffer *out, enum unit unit, double value)
{
    buffer_append_string(out, "<td class=\"number\">");
    if (unit == UNIT_MS)
        html_ms(out, value);
    else if (unit == UNIT_COUNT)
        html_grouped(out, (uint64_t)value);
    else
        text_decimal(out, value, 1);
    buffer_append_string(out, unit == UNIT_MIB ? " MiB</td>" : "</td>");
}

/* A label, the value now, and that of the hour. */
static void write_span_row(struct buffer *out, const char *label, enum unit unit, double now, double hour)
{
    text_format(out, "<tr><td>%s</td>", label);
    write_value(out, unit, now);
    write_value(out, unit, hour);
    buffer_append_string(out, "</tr>\n");
}

static void write_spans(struct buffer *out, const struct pipeline_view *pipeline,
                        const struct history *history)
{
    struct history_span now, hour;
    history_span(&now, history, HISTORY_RATE_SAMPLES);
    history_span(&hour, history, HISTORY_SAMPLES);
    write_span_row(out, "Read a second", UNIT_RATE, now.consumed_rate, hour.consumed_rate);
    write_span_row(out, "Stored a second", UNIT_RATE, now.inserted_rate, hour.inserted_rate);
    write_span_row(out, "Lag (hour: peak)", UNIT_COUNT, (double)pipeline->lag, (double)hour.lag);
    write_span_row(out, "Batch time", UNIT_MS, now.batch_ms, hour.batch_ms);
    write_span_row(out, "Record to commit, p50", UNIT_MS, now.latency_p50_ms, hour.latency_p50_ms);
    write_span_row(out, "Record to commit, p99", UNIT_MS, now.latency_p99_ms, hour.latency_p99_ms);
    for (size_t i = 0; i < REJECT_CLASSES; i++) {
        char label[64];
        snprintf(label, sizeof label, "Rejects: %s", reject_class_names[i]);
        write_span_row(out, label, UNIT_COUNT, (double)now.rejects[i], (double)hour.rejects[i]);
    }
    write_span_row(out, "Memory (hour: peak)", UNIT_MIB, (double)pipeline->memory / 1048576.0,
                   (double)hour.memory_kib / 1024.0);
}

static const char *pipeline_state(const struct pipeline_view *pipeline)
{
    const struct tool_view *reader = pipeline->tools[TOOL_KCAT_ACTIONS];
    bool has_ended = !reader || !pipeline->tools[TOOL_PGSINK] || reader->counters[COUNTER_draining];
    if (pipeline->figures.counters[COUNTER_draining]) /* of a living one */
        return "drain\">draining";
    if (!pipeline_is_complete(pipeline))
        return has_ended ? "\">ended" : "bad\">not running";
    return "good\">running";
}

static void write_pipelines(struct buffer *out, const struct page *page)
{
    const struct snapshot *snapshot = &page->monitor->snapshot;
    for (size_t i = 0; page->monitor->has_snapshot && i < snapshot->pipeline_count; i++) {
        const struct pipeline_view *pipeline = &snapshot->pipelines[i];
        const struct history *history = monitor_history(page->monitor, pipeline->number);
        text_format(out,
                    "<section data-pipeline=\"%" PRIu32 "\"><h2>Pipeline %" PRIu32
                    " <span class=\"chip %s</span></h2>\n",
                    pipeline->number, pipeline->number, pipeline_state(pipeline));
        if (history) {
            buffer_append_string(out, "<table><thead><tr><th></th><th class=\"number\">Now, 10 s</th>"
                                      "<th class=\"number\">Last hour</th></tr></thead><tbody>\n");
            write_spans(out, pipeline, history);
            buffer_append_string(out, "</tbody></table>");
        } else
            buffer_append_string(out, "<p>Its figures are in those of all pipelines.</p>");
        buffer_append_string(out, "</section>\n");
    }
}

static void write_tool(struct buffer *out, const struct pipeline_view *pipeline, enum tool tool, int64_t now)
{
    const struct tool_view *view = pipeline->tools[tool];
    text_format(out, "<tr><td>%" PRIu32 "</td><td>%s</td><td class=\"%s</td>", pipeline->number,
                tool_names[tool], view->is_alive ? "good\">running" : "bad\">gone");
    if (view->is_alive) {
        text_format(out, "<td class=\"number\">%" PRId32 "</td><td class=\"number\">", view->pid);
        html_duration(out, now - view->started);
    } else
        buffer_append_string(out, "<td class=\"number\">&ndash;</td><td class=\"number\">&ndash;");
    buffer_append_string(out, "</td><td class=\"number\">");
    text_decimal(out, now > view->heartbeat ? (double)(now - view->heartbeat) / 1e6 : 0, 1);
    buffer_append_string(out, " s</td>");
    html_cell(out, pipeline->starts[tool]);
    html_cell(out, view->rss < 0 ? -1 : view->rss / 1024);
    buffer_append_string(out, "</tr>\n");
}

static void write_tools(struct buffer *out, const struct page *page)
{
    const struct snapshot *snapshot = &page->monitor->snapshot;
    for (size_t i = 0; page->monitor->has_snapshot && i < snapshot->pipeline_count; i++)
        for (enum tool tool = TOOL_NONE + 1; tool < TOOL_COUNT; tool++)
            if (snapshot->pipelines[i].tools[tool])
                write_tool(out, &snapshot->pipelines[i], tool, snapshot->taken);
}

/* With a bar below the number: its share of the greatest lag. */
static void write_lag(struct buffer *out, int64_t lag, int64_t most)
{
    double share = lag > 0 && most > 0 ? (double)lag / (double)most * 100.0 : 0;
    text_format(out, "<td class=\"number lag\" style=\"--share:%.0f%%\">", share);
    if (lag < 0)
        buffer_append_string(out, "&ndash;");
    else
        html_grouped(out, (uint64_t)lag);
    buffer_append_string(out, "</td>");
}

static void write_partitions(struct buffer *out, const struct page *page)
{
    const struct snapshot *snapshot = &page->monitor->snapshot;
    if (!page->monitor->has_snapshot)
        return;
    int64_t most = 0;
    for (size_t i = 0; i < snapshot->partition_count; i++)
        most = snapshot->partitions[i].lag > most ? snapshot->partitions[i].lag : most;
    for (size_t i = 0; i < snapshot->partition_count && i < PARTITION_ROWS; i++) {
        const struct partition_view *partition = &snapshot->partitions[i];
        text_format(out, "<tr><td>%" PRIu32 "</td><td>", partition->pipeline);
        html_escaped(out, partition->topic);
        buffer_append_string(out, "</td>");
        html_cell(out, partition->partition);
        write_lag(out, partition->lag, most);
        const int64_t offsets[] = {partition->committed, partition->position, partition->high_watermark};
        for (size_t n = 0; n < sizeof offsets / sizeof *offsets; n++)
            html_cell(out, offsets[n]);
        buffer_append_string(out, "</tr>\n");
    }
    if (snapshot->partition_count > PARTITION_ROWS)
        text_format(out, "<tr><td colspan=\"7\">and %zu more: see /metrics</td></tr>\n",
                    snapshot->partition_count - PARTITION_ROWS);
}

static void write_counters(struct buffer *out, const struct page *page)
{
    for (size_t i = 0; page->monitor->has_snapshot && i < COUNTER_COUNT; i++) {
        uint64_t value = page->monitor->snapshot.total.counters[i];
        text_format(out, "<tr><td>%s</td><td>", tool_names[counter_info[i].tool]);
        html_escaped(out, slice_of_string(counter_info[i].help));
        buffer_append_string(out, "</td><td class=\"number\">");
        if (counter_info[i].kind == KIND_TIME)
            html_moment(out, (int64_t)value, page->monitor->snapshot.taken);
        else
            html_grouped(out, value);
        buffer_append_string(out, "</td></tr>\n");
    }
}

static void write_memory(struct buffer *out, const struct page *page)
{
    (void)page;
    text_decimal(out, (double)process_rss(getpid()) / 1048576.0, 1);
}

static void write_version(struct buffer *out, const struct page *page)
{
    (void)page;
    buffer_append_string(out, VERSION);
}

static const struct {
    const char *name;
    void (*write)(struct buffer *out, const struct page *page);
} places[] = {
    {"status", write_status}, {"figures", write_figures},       {"pipelines", write_pipelines},
    {"tools", write_tools},   {"partitions", write_partitions}, {"counters", write_counters},
    {"memory", write_memory}, {"version", write_version},
};

static void write_place(struct buffer *out, struct slice name, const struct page *page)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (slice_is(name, places[i].name))
            places[i].write(out, page);
}

void page_write(struct buffer *out, const struct monitor *monitor, const struct verdict *verdict)
{
    struct page page = {monitor, verdict};
    struct slice rest = page_template();
    for (const char *mark; (mark = memmem(rest.data, rest.len, "{{", 2));) {
        const char *name = mark + 2, *end = memmem(name, (size_t)(rest.data + rest.len - name), "}}", 2);
        if (!end)
            break;
        buffer_append(out, rest.data, (size_t)(mark - rest.data));
        write_place(out, slice_of(name, (size_t)(end - name)), &page);
        rest = slice_of(end + 2, (size_t)(rest.data + rest.len - end - 2));
    }
    buffer_append_slice(out, rest);
}
