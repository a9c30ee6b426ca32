#include "http.h"

#include "common/json_write.h"
#include "common/timestamp.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define CONNECTIONS 64
#define CONNECTIONS_FREE 8 /* kept for who comes next: beyond, the oldest has to go */
#define DESCRIPTORS 24     /* what we need beside connections */
#define SILENCE_SECONDS 10
#define DEADLINE_US (30 * INT64_C(1000000))
#define REQUEST_MEMORY (8 * 1024) /* a connection's, for its request's headers and its output */
#define BODIES_LIMIT (512 * 1024)

struct connection {
    int fd;         /* -1: unused */
    int64_t opened; /* monotonic */
    bool is_ended;  /* shut down by us; the library closes it next */
};

struct http_server {
    struct monitor *monitor;
    struct MHD_Daemon *daemon;
    int epoll_fd, timer_fd;
    size_t body_bytes; /* of bodies that are not sent yet */
    struct connection connections[CONNECTIONS];
    size_t limit, open_count; /* how many may be open, and are */
    size_t ended_count;       /* of these, how many were shut down by us */
    bool was_full;            /* the library does not watch for new clients until it is called again */
};

struct body {
    struct http_server *server;
    struct buffer text;
};

bool http_may_be_large(const struct http_request *request)
{
    return request->server->body_bytes <= BODIES_LIMIT;
}

static void release_body(void *pointer)
{
    struct body *body = pointer;
    body->server->body_bytes -= body->text.capacity;
    buffer_free(&body->text);
    free(body);
}

enum MHD_Result http_queue(const struct http_request *request, unsigned status, const char *content_type,
                           struct MHD_Response *response)
{
    const char *const headers[][2] = {
        {MHD_HTTP_HEADER_CONTENT_TYPE, content_type},
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {MHD_HTTP_HEADER_CONNECTION, "close"},
        {"X-Content-Type-Options", "nosniff"},
        {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "
                                    "script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result http_send(const struct http_request *request, unsigned status, const char *content_type,
                          struct buffer *text)
{
    struct body *body = xmalloc(sizeof *body);
    *body = (struct body){request->server, *text};
    *text = (struct buffer){0};
    request->server->body_bytes += body->text.capacity;
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        body->text.len, body->text.data, release_body, body);
    if (response)
        return http_queue(request, status, content_type, response);
    release_body(body);
    return MHD_NO;
}

enum MHD_Result http_send_error(const struct http_request *request, unsigned status, const char *text)
{
    cleanup_buffer struct buffer body = {0};
    json_open(&body, '{');
    json_member(&body, "error");
    json_write_string(&body, slice_of_string(text));
    json_close(&body, '}');
    buffer_append_char(&body, '\n');
    return http_send(request, status, CONTENT_JSON, &body);
}

/* libmicrohttpd calls this when the headers are there, for each part of a body that the client sends, and
 * once more at the end. Reading what nobody asked for to its end lets the client see our answer. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **has_headers)
{
    (void)version, (void)upload;
    struct http_server *server = cls;
    if (!*has_headers) {
        *has_headers = server;
        return MHD_YES;
    }
    if (*upload_size) {
        *upload_size = 0;
        return MHD_YES;
    }
    struct http_request request = {server, server->monitor, connection};
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return http_send_error(&request, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are served");
    return endpoint_answer(&request, url);
}

/* After shutdown() the library finds the connection closed, and frees it. */
static void end_connection(struct http_server *server, struct connection *connection)
{
    connection->is_ended = true;
    server->ended_count++;
    shutdown(connection->fd, SHUT_RDWR);
}

/* A client in order is served in milliseconds: the oldest of many is one that holds us up. So whoever fills
 * the table pushes out his own, and not the next who asks for our health. */
static void end_oldest(struct http_server *server)
{
    struct connection *oldest = NULL;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *one = &server->connections[i];
        if (one->fd >= 0 && !one->is_ended && (!oldest || one->opened < oldest->opened))
            oldest = one;
    }
    if (oldest)
        end_connection(server, oldest);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = cls;
    struct connection *entry = *slot;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (!entry)
            return;
        entry->fd = -1;
        server->open_count--;
        server->ended_count -= entry->is_ended;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    for (size_t i = 0; info && i < CONNECTIONS; i++)
        if (server->connections[i].fd < 0) {
            server->connections[i] =
                (struct connection){.fd = info->connect_fd, .opened = monotonic_microseconds()};
            *slot = &server->connections[i];
            server->open_count++;
            break;
        }
    server->was_full |= server->open_count >= server->limit;
    if (server->open_count + CONNECTIONS_FREE > server->limit)
        end_oldest(server);
}

/* The library's time limit counts from the last byte, so a client that drips bytes would stay for ever. */
static void end_overdue(struct http_server *server)
{
    int64_t now = monotonic_microseconds();
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *one = &server->connections[i];
        if (one->fd >= 0 && !one->is_ended && now - one->opened > DEADLINE_US)
            end_connection(server, one);
    }
}

/* Fewer than descriptors: accept() that fails for want of one would leave us with no way to go on. */
static size_t connection_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= CONNECTIONS + DESCRIPTORS)
        return CONNECTIONS;
    size_t least = CONNECTIONS_FREE * 2;
    return limit.rlim_cur >= least + DESCRIPTORS ? (size_t)limit.rlim_cur - DESCRIPTORS : least;
}

__attribute__((format(printf, 2, 0))) static void on_library_message(void *cls, const char *format,
                                                                     va_list arguments)
{
    const struct log *log = cls;
    char text[256];
    vsnprintf(text, sizeof text, format, arguments);
    log_debug(log, "libmicrohttpd: %s", text);
}

static int start_timer(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    const struct itimerspec each_second = {{1, 0}, {1, 0}};
    if (fd >= 0 && timerfd_settime(fd, 0, &each_second, NULL) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool start_daemon(struct http_server *server, int listen_fd)
{
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER,
        on_library_message, server->monitor->log, MHD_OPTION_LISTEN_SOCKET, listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)server->limit, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)SILENCE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MEMORY,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        server->daemon ? MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    server->epoll_fd = info ? info->epoll_fd : -1;
    return info != NULL;
}

struct http_server *http_start(struct monitor *monitor, int listen_fd)
{
    struct http_server *server = xcalloc(1, sizeof *server);
    /* Large bodies are mapped, and their memory goes back at once. */
    mallopt(M_MMAP_THRESHOLD, 32 * 1024);
    mallopt(M_TRIM_THRESHOLD, 64 * 1024);
    server->monitor = monitor;
    server->limit = connection_limit();
    for (size_t i = 0; i < CONNECTIONS; i++)
        server->connections[i].fd = -1;
    server->timer_fd = start_timer();
    if (server->timer_fd >= 0 && start_daemon(server, listen_fd))
        return server;
    int reason = errno;
    if (!server->daemon)
        close(listen_fd);
    http_stop(server);
    errno = reason;
    return NULL;
}

void http_stop(struct http_server *server)
{
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    if (server->timer_fd >= 0)
        close(server->timer_fd);
    free(server);
}

/* How long poll() may sleep, in milliseconds: until the library has to end a silent connection. */
static int sleep_ms(struct http_server *server)
{
    if (server->ended_count || server->was_full) {
        server->was_full = server->open_count >= server->limit;
        return 1;
    }
    MHD_UNSIGNED_LONG_LONG timeout;
    if (MHD_get_timeout(server->daemon, &timeout) != MHD_YES)
        return -1;
    return timeout < 1000 ? (int)timeout : 1000;
}

bool http_run(struct http_server *server, int stop_fd)
{
    struct pollfd fds[] = {{.fd = stop_fd, .events = POLLIN},
                           {.fd = server->timer_fd, .events = POLLIN},
                           {.fd = server->epoll_fd, .events = POLLIN}};
    monitor_tick(server->monitor);
    for (;;) {
        if (poll(fds, sizeof fds / sizeof *fds, sleep_ms(server)) < 0 && errno != EINTR)
            return false;
        if (fds[0].revents)
            return true;
        uint64_t expirations;
        if (fds[1].revents && read(server->timer_fd, &expirations, sizeof expirations) > 0) {
            monitor_tick(server->monitor);
            end_overdue(server);
        }
        if (MHD_run(server->daemon) != MHD_YES) {
            errno = EIO;
            return false;
        }
    }
}
