#include "history.h"

#include "text.h"

#include "common/json_write.h"

#define SAMPLES_A_CHUNK 32

static uint32_t clamp(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

const char *const reject_class_names[REJECT_CLASSES] = {"no JSON object", "bad value", "constraint", "other"};

void history_add(struct history *history, int64_t taken, const struct figures *figures, uint64_t lag,
                 uint64_t memory)
{
    struct histogram_view fresh[HISTOGRAM_COUNT];
    const uint64_t *counters = figures->counters;
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
        /* What the first look finds is not of its second. */
        histogram_since(&fresh[i], &figures->histograms[i],
                        history->count ? &history->last[i] : &figures->histograms[i]);
        history->last[i] = figures->histograms[i];
    }
    const struct histogram_view *batches = &fresh[HISTOGRAM_batch_duration];
    const struct histogram_view *latency = &fresh[HISTOGRAM_end_to_end_latency];
    struct history_sample *sample = &history->samples[history->count++ % HISTORY_SAMPLES];
    *sample = (struct history_sample){
        .taken = taken,
        .consumed = counters[COUNTER_records_consumed],
        .inserted = counters[COUNTER_rows_inserted],
        .failed = figures_failed(figures),
        .lag = clamp(lag),
        .in_flight = clamp(counters[COUNTER_records_in_flight]),
        .memory_kib = clamp(memory / 1024),
        .batch_ms = batches->count ? (float)histogram_mean_ms(batches) : -1,
        .latency_p50_ms = (float)histogram_quantile_ms(latency, 0.5),
        .latency_p99_ms = (float)histogram_quantile_ms(latency, 0.99),
    };
    /* What comes rejected from kcat-actions is no JSON. */
    sample->rejects[0] = clamp(counters[COUNTER_rejects_undecodable] + counters[COUNTER_rejects_passed]);
    sample->rejects[1] = clamp(counters[COUNTER_rejects_value]);
    sample->rejects[2] = clamp(counters[COUNTER_rejects_constraint]);
    sample->rejects[3] = clamp(counters[COUNTER_rejects_other]);
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

static double rate(uint64_t from, uint64_t to, int64_t microseconds)
{
    return to > from && microseconds > 0 ? (double)(to - from) * 1e6 / (double)microseconds : 0;
}

static uint64_t growth(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0;
}

void history_span(struct history_span *span, const struct history *history, uint64_t seconds)
{
    *span = (struct history_span){.batch_ms = -1, .latency_p50_ms = -1, .latency_p99_ms = -1};
    if (history->count == 0)
        return;
    uint64_t newest = history->count - 1;
    uint64_t first = newest - oldest(history) > seconds ? newest - seconds : oldest(history);
    const struct history_sample *from = sample(history, first), *to = sample(history, newest);
    span->consumed_rate = rate(from->consumed, to->consumed, to->taken - from->taken);
    span->inserted_rate = rate(from->inserted, to->inserted, to->taken - from->taken);
    span->failed = growth(from->failed, to->failed);
    for (size_t i = 0; i < REJECT_CLASSES; i++)
        span->rejects[i] = growth(from->rejects[i], to->rejects[i]);
    double batch_sum = 0, latency_sum = 0;
    size_t batch_count = 0, latency_count = 0;
    for (uint64_t i = first; i <= newest; i++) {
        const struct history_sample *one = sample(history, i);
        span->lag = one->lag > span->lag ? one->lag : span->lag;
        span->memory_kib = one->memory_kib > span->memory_kib ? one->memory_kib : span->memory_kib;
        if (one->batch_ms >= 0)
            batch_sum += one->batch_ms, batch_count++;
        if (one->latency_p50_ms >= 0)
            latency_sum += one->latency_p50_ms, latency_count++;
        if (one->latency_p99_ms > span->latency_p99_ms)
            span->latency_p99_ms = one->latency_p99_ms;
    }
    span->batch_ms = batch_count ? batch_sum / (double)batch_count : -1;
    span->latency_p50_ms = latency_count ? latency_sum / (double)latency_count : -1;
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
    static const char *const members[] = {
        "time",          "consumed",           "inserted",       "failed",         "lag",
        "in_flight",     "batch_ms",           "latency_p50_ms", "latency_p99_ms", "rejects_undecodable",
        "rejects_value", "rejects_constraint", "rejects_other",  "memory_kib"};
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
    const float times[] = {sample->batch_ms, sample->latency_p50_ms, sample->latency_p99_ms};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        json_item(out);
        if (times[i] < 0)
            buffer_append_string(out, "null");
        else
            text_decimal(out, times[i], 3);
    }
    for (size_t i = 0; i < REJECT_CLASSES; i++) {
        json_item(out);
        buffer_append_int(out, sample->rejects[i]);
    }
    json_item(out);
    buffer_append_int(out, sample->memory_kib);
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
