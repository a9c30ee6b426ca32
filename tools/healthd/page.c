#include "page.h"

#include "metrics.h"
#include "text.h"

#include "common/timestamp.h"

#include <inttypes.h>
#include <stdio.h>

#define PARTITION_ROWS 200 /* a page for people: /metrics has them all */

struct page {
    const struct monitor *monitor;
    const struct verdict *verdict;
};

static void escaped(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        switch (text.data[i]) {
        case '<':
            buffer_append_string(out, "&lt;");
            break;
        case '&':
            buffer_append_string(out, "&amp;");
            break;
        case '"':
            buffer_append_string(out, "&quot;");
            break;
        default:
            buffer_append_char(out, text.data[i]);
        }
}

/* 1234567 as 1 234 567, with thin spaces. */
static void grouped(struct buffer *out, uint64_t value)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, value);
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            buffer_append_string(out, "&#8239;");
        buffer_append_char(out, digits[i]);
    }
}

static void cell_known(struct buffer *out, int64_t value)
{
    buffer_append_string(out, "<td class=\"number\">");
    if (value < 0)
        buffer_append_string(out, "&ndash;");
    else
        grouped(out, (uint64_t)value);
    buffer_append_string(out, "</td>");
}

static void moment(struct buffer *out, int64_t microseconds)
{
    char text[TIMESTAMP_TEXT_SIZE];
    if (microseconds <= 0) {
        buffer_append_string(out, "never");
        return;
    }
    timestamp_format(microseconds, 0, text);
    text[10] = ' ';
    text[19] = '\0';
    text_format(out, "%s UTC", text);
}

static void duration(struct buffer *out, int64_t microseconds)
{
    int64_t seconds = microseconds > 0 ? microseconds / 1000000 : 0;
    if (seconds >= 86400)
        text_format(out, "%" PRId64 " d ", seconds / 86400);
    text_format(out, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600 % 24, seconds / 60 % 60,
                seconds % 60);
}

static void write_status(struct buffer *out, const struct page *page)
{
    const char *word = page->verdict->is_healthy ? "healthy" : "unhealthy";
    text_format(out, "<p class=\"status %s\">%s</p>", word, word);
    size_t at = 0;
    const char *reason = verdict_reason(page->verdict, &at);
    if (!reason)
        return;
    buffer_append_string(out, "<ul>");
    for (; reason; reason = verdict_reason(page->verdict, &at)) {
        buffer_append_string(out, "<li>");
        escaped(out, slice_of_string(reason));
        buffer_append_string(out, "</li>");
    }
    buffer_append_string(out, "</ul>");
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
    grouped(out, value);
    close_card(out);
}

static void write_figures(struct buffer *out, const struct page *page)
{
    const struct snapshot *snapshot = &page->monitor->snapshot;
    const uint64_t *counters = snapshot->total.counters;
    if (!page->monitor->has_snapshot)
        return;
    open_card(out, "Messages a second");
    text_decimal(out, monitor_rate(page->monitor), 1);
    close_card(out);
    card(out, "Consumer lag", snapshot->lag);
    card(out, "In flight", counters[COUNTER_records_in_flight]);
    card(out, "Consumed", counters[COUNTER_records_consumed]);
    card(out, "Inserted", counters[COUNTER_rows_inserted]);
    card(out, "Duplicates", counters[COUNTER_rows_duplicate]);
    card(out, "Failed", figures_failed(&snapshot->total));
    card(out, "In the dead letter queue", counters[COUNTER_rejects_published]);
    card(out, "Batches", counters[COUNTER_batches_processed]);
    open_card(out, "Mean batch time");
    text_decimal(out, histogram_mean_ms(&snapshot->total.histograms[HISTOGRAM_batch_duration]), 1);
    buffer_append_string(out, " ms");
    close_card(out);
    open_card(out, "Uptime");
    duration(out, snapshot->uptime);
    close_card(out);
    open_card(out, "Last commit");
    moment(out, (int64_t)counters[COUNTER_last_commit_time]);
    close_card(out);
}

static void write_tool(struct buffer *out, const struct pipeline_view *pipeline, enum tool tool, int64_t now)
{
    const struct tool_view *view = pipeline->tools[tool];
    text_format(out, "<tr><td>%" PRIu32 "</td><td>%s</td><td class=\"%s</td>", pipeline->number,
                tool_names[tool], view->is_alive ? "healthy\">running" : "unhealthy\">gone");
    if (view->is_alive) {
        text_format(out, "<td class=\"number\">%" PRId32 "</td><td class=\"number\">", view->pid);
        duration(out, now - view->started);
    } else
        buffer_append_string(out, "<td class=\"number\">&ndash;</td><td class=\"number\">&ndash;");
    buffer_append_string(out, "</td><td class=\"number\">");
    text_decimal(out, now > view->heartbeat ? (double)(now - view->heartbeat) / 1e6 : 0, 1);
    buffer_append_string(out, " s</td>");
    cell_known(out, pipeline->starts[tool]);
    int64_t rss = view->is_alive ? process_rss(view->pid) : -1;
    cell_known(out, rss < 0 ? -1 : rss / 1024);
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

static void write_partitions(struct buffer *out, const struct page *page)
{
    const struct snapshot *snapshot = &page->monitor->snapshot;
    if (!page->monitor->has_snapshot)
        return;
    for (size_t i = 0; i < snapshot->partition_count && i < PARTITION_ROWS; i++) {
        const struct partition_view *partition = &snapshot->partitions[i];
        text_format(out, "<tr><td>%" PRIu32 "</td><td>", partition->pipeline);
        escaped(out, partition->topic);
        buffer_append_string(out, "</td>");
        const int64_t numbers[] = {partition->partition, partition->committed, partition->position,
                                   partition->high_watermark, partition->lag};
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
            cell_known(out, numbers[n]);
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
        escaped(out, slice_of_string(counter_info[i].help));
        buffer_append_string(out, "</td><td class=\"number\">");
        if (counter_info[i].kind == KIND_TIME)
            moment(out, (int64_t)value);
        else
            grouped(out, value);
        buffer_append_string(out, "</td></tr>\n");
    }
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
    {"status", write_status},         {"figures", write_figures},   {"tools", write_tools},
    {"partitions", write_partitions}, {"counters", write_counters}, {"version", write_version},
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
