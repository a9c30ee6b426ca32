/* http.h - the HTTP server: one thread, one request a connection, bounded memory.
 *
 * libmicrohttpd parses and writes; its epoll descriptor is one of three in our poll loop. Bodies count
 * against a budget until they are sent, and a connection has a deadline, so slow clients cannot pile up.
 */
#ifndef HEALTHD_HTTP_H
#define HEALTHD_HTTP_H

#include "monitor.h"

#include <microhttpd.h>
#include <stdbool.h>

struct http_server;

/* Serves on `listen_fd`, which it takes over. NULL with errno. The monitor stays the caller's. */
struct http_server *http_start(struct monitor *monitor, int listen_fd);
void http_stop(struct http_server *server);
/* Serves, and has the monitor look each second, until `stop_fd` is readable. False with errno. */
bool http_run(struct http_server *server, int stop_fd);

/* For the endpoints: */
struct http_request {
    struct http_server *server;
    struct monitor *monitor;
    struct MHD_Connection *connection;
};
/* Answers with the body, which is taken from the buffer and leaves it empty. */
enum MHD_Result http_send(const struct http_request *request, unsigned status, const char *content_type,
                          struct buffer *body);
/* Answers with {"error":text}. */
enum MHD_Result http_send_error(const struct http_request *request, unsigned status, const char *text);
/* False while so much waits for slow clients that only small answers are made. */
bool http_may_be_large(const struct http_request *request);
/* Queues any other response, with the headers that all have. Releases it. */
enum MHD_Result http_queue(const struct http_request *request, unsigned status, const char *content_type,
                           struct MHD_Response *response);

#define CONTENT_JSON "application/json"
#define CONTENT_HTML "text/html; charset=utf-8"
#define CONTENT_PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"

/* endpoints.c: answers a GET or HEAD of a path. */
enum MHD_Result endpoint_answer(const struct http_request *request, const char *path);

#endif
