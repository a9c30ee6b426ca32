#include "history.h"

#include "text.h"

#include "common/json_write.h"

#define SAMPLES_A_CHUNK 32

static uint32_t clamp(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* Mean time of the batches since the last sample. A file that took the place of another starts lower. */
static float mean_since(const struct histogram_view *last, const struct histogram_view *now)
{
    if (now->count <= last->count || now->sum < last->sum)
        return -1;
    return (float)((double)(now->sum - last->sum) / (double)(now->count - last->count) / 1000.0);
}

void history_add(struct history *history, const struct snapshot *snapshot)
{
    const struct histogram_view *batches = &snapshot->total.histograms[HISTOGRAM_batch_duration];
    const uint64_t *counters = snapshot->total.counters;
    history->samples[history->count % HISTORY_SAMPLES] = (struct history_sample){
        .taken = snapshot->taken,
        .consumed = counters[COUNTER_records_consumed],
        .inserted = counters[COUNTER_rows_inserted],
        .failed = figures_failed(&snapshot->total),
        .lag = clamp(snapshot->lag),
        .in_flight = clamp(counters[COUNTER_records_in_flight]),
        .batch_ms = history->count ? mean_since(&history->last, batches) : -1,
    };
    history->last = *batches;
    history->count++;
}

static const struct history_sample *sample(const struct history *history, uint64_t number)
{
    return &history->samples[number % HISTORY_SAMPLES];
}

double history_rate(const struct history *history)
{
    if (history->count < 2)
        return 0;
    uint64_t newest = history->count - 1;
    const struct history_sample *to = sample(history, newest);
    const struct history_sample *from =
        sample(history, newest > HISTORY_RATE_SAMPLES ? newest - HISTORY_RATE_SAMPLES : 0);
    if (to->taken <= from->taken || to->consumed < from->consumed)
        return 0;
    return (double)(to->consumed - from->consumed) * 1e6 / (double)(to->taken - from->taken);
}

static uint64_t oldest(const struct history *history)
{
    return history->count > HISTORY_SAMPLES ? history->count - HISTORY_SAMPLES : 0;
}

void history_stream_init(struct history_stream *stream, const struct history *history, int64_t since)
{
    uint64_t next = history->count;
    while (next > oldest(history) && sample(history, next - 1)->taken / 1000 > since)
        next--;
    *stream = (struct history_stream){.history = history, .next = next, .end = history->count};
}

void history_stream_free(struct history_stream *stream)
{
    buffer_free(&stream->chunk);
}

static void write_head(struct buffer *out)
{
    static const char *const members[] = {"time", "consumed",  "inserted", "failed",
                                          "lag",  "in_flight", "batch_ms"};
    json_open(out, '{');
    json_member(out, "interval_seconds");
    buffer_append_int(out, 1);
    json_member(out, "members");
    json_open(out, '[');
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_item(out);
        json_write_string(out, slice_of_string(members[i]));
    }
    json_close(out, ']');
    json_member(out, "samples");
    json_open(out, '[');
}

static void write_sample(struct buffer *out, const struct history_sample *sample)
{
    const uint64_t integers[] = {(uint64_t)sample->taken / 1000,
                                 sample->consumed,
                                 sample->inserted,
                                 sample->failed,
                                 sample->lag,
                                 sample->in_flight};
    json_open(out, '[');
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        json_item(out);
        buffer_append_int(out, (int64_t)integers[i]);
    }
    json_item(out);
    if (sample->batch_ms < 0)
        buffer_append_string(out, "null");
    else
        text_decimal(out, sample->batch_ms, 3);
    json_close(out, ']');
}

/* The next part of the text into the empty chunk. */
static void fill(struct history_stream *stream)
{
    struct buffer *out = &stream->chunk;
    if (stream->state == STREAM_HEAD) {
        write_head(out);
        stream->state = STREAM_SAMPLES;
        return;
    }
    if (stream->next < oldest(stream->history))
        stream->next = oldest(stream->history);
    for (int i = 0; i < SAMPLES_A_CHUNK && stream->next < stream->end; i++, stream->next++) {
        if (stream->has_samples)
            buffer_append_char(out, ',');
        write_sample(out, sample(stream->history, stream->next));
        stream->has_samples = true;
    }
    if (stream->next >= stream->end) {
        json_close(out, ']');
        json_close(out, '}');
        buffer_append_char(out, '\n');
        stream->state = STREAM_ENDED;
    }
}

size_t history_stream_read(struct history_stream *stream, char *data, size_t size)
{
    if (stream->sent == stream->chunk.len) {
        stream->sent = stream->chunk.len = 0;
        if (stream->state == STREAM_ENDED)
            return 0;
        fill(stream);
    }
    size_t len = stream->chunk.len - stream->sent;
    if (len > size)
        len = size;
    memcpy(data, stream->chunk.data + stream->sent, len);
    stream->sent += len;
    return len;
}
