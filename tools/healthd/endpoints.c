/* endpoints.c - what each path answers. */
#include "http.h"

#include "metrics.h"
#include "page.h"

#include "common/json_write.h"
#include "common/options.h"

static const char *argument(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result answer_health(const struct http_request *request)
{
    struct verdict verdict;
    cleanup_buffer struct buffer body = {0};
    monitor_look(request->monitor);
    monitor_judge(request->monitor, &verdict);
    verdict_write_json(&body, &verdict);
    unsigned status = verdict.is_healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    verdict_free(&verdict);
    return http_send(request, status, CONTENT_JSON, &body);
}

static enum MHD_Result send_status(const struct http_request *request, unsigned status, const char *text)
{
    cleanup_buffer struct buffer body = {0};
    json_open(&body, '{');
    json_member(&body, "status");
    json_write_string(&body, slice_of_string(text));
    json_close(&body, '}');
    buffer_append_char(&body, '\n');
    return http_send(request, status, CONTENT_JSON, &body);
}

static enum MHD_Result answer_livez(const struct http_request *request)
{
    return send_status(request, MHD_HTTP_OK, "alive");
}

static enum MHD_Result answer_readyz(const struct http_request *request)
{
    monitor_look(request->monitor);
    bool is_ready = request->monitor->has_snapshot && health_is_ready(&request->monitor->snapshot);
    return send_status(request, is_ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                       is_ready ? "ready" : "not ready");
}

/* False for a ?format= that we do not know. */
static bool wants_prometheus(const struct http_request *request, bool *wanted)
{
    const char *format = argument(request, "format");
    *wanted = format ? strcmp(format, "prometheus") == 0
                     : accept_prefers_text(MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                                                       MHD_HTTP_HEADER_ACCEPT));
    return !format || *wanted || strcmp(format, "json") == 0;
}

static enum MHD_Result answer_metrics(const struct http_request *request)
{
    struct monitor *monitor = request->monitor;
    bool is_prometheus;
    if (!wants_prometheus(request, &is_prometheus))
        return http_send_error(request, MHD_HTTP_BAD_REQUEST, "format is json or prometheus");
    monitor_look(monitor);
    if (!monitor->has_snapshot)
        return http_send_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, source_fault(&monitor->source));
    cleanup_buffer struct buffer body = {0};
    if (!is_prometheus) {
        metrics_write_json(&body, &monitor->snapshot, monitor_rate(monitor));
        return http_send(request, MHD_HTTP_OK, CONTENT_JSON, &body);
    }
    struct verdict verdict;
    monitor_judge(monitor, &verdict);
    metrics_write_prometheus(&body, &monitor->snapshot, verdict.is_healthy);
    verdict_free(&verdict);
    return http_send(request, MHD_HTTP_OK, CONTENT_PROMETHEUS, &body);
}

static ssize_t read_history(void *cls, uint64_t position, char *data, size_t size)
{
    (void)position;
    size_t len = history_stream_read(cls, data, size);
    return len ? (ssize_t)len : MHD_CONTENT_READER_END_OF_STREAM;
}

static void free_history(void *cls)
{
    history_stream_free(cls);
    free(cls);
}

static enum MHD_Result answer_history(const struct http_request *request)
{
    const char *since_text = argument(request, "since"), *pipeline_text = argument(request, "pipeline");
    const struct history *history = &request->monitor->history;
    int64_t since = 0, pipeline = 0;
    if (since_text && !parse_count(since_text, 0, INT64_MAX, &since))
        return http_send_error(request, MHD_HTTP_BAD_REQUEST, "since is a time in milliseconds since 1970");
    if (pipeline_text && !parse_count(pipeline_text, 0, UINT32_MAX, &pipeline))
        return http_send_error(request, MHD_HTTP_BAD_REQUEST, "pipeline is the number of one");
    if (pipeline_text)
        history = monitor_history(request->monitor, (uint32_t)pipeline);
    if (!history)
        return http_send_error(request, MHD_HTTP_NOT_FOUND, "of this pipeline no history is kept");
    struct history_stream *stream = xmalloc(sizeof *stream);
    history_stream_init(stream, history, since);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_history, stream, free_history);
    if (response)
        return http_queue(request, MHD_HTTP_OK, CONTENT_JSON, response);
    free_history(stream);
    return MHD_NO;
}

static enum MHD_Result answer_page(const struct http_request *request)
{
    struct verdict verdict;
    cleanup_buffer struct buffer body = {0};
    monitor_look(request->monitor);
    monitor_judge(request->monitor, &verdict);
    page_write(&body, request->monitor, &verdict);
    verdict_free(&verdict);
    return http_send(request, MHD_HTTP_OK, CONTENT_HTML, &body);
}

static const struct {
    const char *path;
    enum MHD_Result (*answer)(const struct http_request *request);
    bool is_large; /* grows with the pipelines and their partitions */
} endpoints[] = {
    {"/", answer_page, true},           {"/health", answer_health, false},
    {"/livez", answer_livez, false},    {"/readyz", answer_readyz, false},
    {"/metrics", answer_metrics, true}, {"/history", answer_history, false}, /* streamed */
};

enum MHD_Result endpoint_answer(const struct http_request *request, const char *path)
{
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        if (strcmp(path, endpoints[i].path) != 0)
            continue;
        if (endpoints[i].is_large && !http_may_be_large(request))
            return http_send_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "too many clients are slow");
        return endpoints[i].answer(request);
    }
    return http_send_error(request, MHD_HTTP_NOT_FOUND,
                           "no such path: there are /, /health, /livez, /readyz, /metrics, /history");
}
