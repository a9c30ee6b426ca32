/* http-load - many HTTP clients at once, for the tests of healthd.
 *
 *     http-load PORT CLIENTS PER_SECOND SECONDS PATH...
 *
 * Each of the CLIENTS makes PER_SECOND requests a second to 127.0.0.1, each on a connection of its own, to
 * the PATHs in turn. A client that has no answer yet makes its next request late. At the end one line of
 * JSON says what came of them:
 *
 *     {"answered":5988,"refused":12,"longest_ms":41}
 *
 * answered: a whole response with status 200; refused: any other status, or none at all.
 */
#include "common/memory.h"
#include "common/timestamp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

struct client {
    int fd;        /* -1: between two requests */
    int64_t due;   /* of the next request; monotonic microseconds */
    int64_t begun; /* of the one under way */
    bool is_sent;  /* the request is out */
    char head[16]; /* of the response: "HTTP/1.1 200 OK" */
    size_t head_len;
};

struct load {
    struct sockaddr_in address;
    char **paths;
    size_t path_count, next_path;
    int64_t interval;
    uint64_t answered, refused;
    int64_t longest;
};

static void finish(struct load *load, struct client *client)
{
    bool is_ok = client->head_len == sizeof client->head && memcmp(client->head + 8, " 200 ", 5) == 0;
    int64_t taken = monotonic_microseconds() - client->begun;
    *(is_ok ? &load->answered : &load->refused) += 1;
    if (is_ok && taken > load->longest)
        load->longest = taken;
    close(client->fd);
    client->fd = -1;
}

static void begin(struct load *load, struct client *client, int64_t now)
{
    client->due = client->due + load->interval > now ? client->due + load->interval : now;
    client->begun = now;
    client->is_sent = false;
    client->head_len = 0;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        perror("http-load: socket");
        exit(EX_OSERR);
    }
    if (connect(client->fd, (struct sockaddr *)&load->address, sizeof load->address) < 0 &&
        errno != EINPROGRESS)
        finish(load, client);
}

static void send_request(struct load *load, struct client *client)
{
    cleanup_free char *text = xasprintf("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                        load->paths[load->next_path++ % load->path_count]);
    client->is_sent = true;
    if (send(client->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        finish(load, client);
}

static void receive(struct load *load, struct client *client)
{
    char data[16384];
    ssize_t len;
    while ((len = recv(client->fd, data, sizeof data, 0)) > 0) {
        size_t more = sizeof client->head - client->head_len;
        more = (size_t)len < more ? (size_t)len : more;
        memcpy(client->head + client->head_len, data, more);
        client->head_len += more;
    }
    if (len == 0 || (errno != EAGAIN && errno != EINTR))
        finish(load, client);
}

static void serve(struct load *load, struct client *clients, struct pollfd *fds, size_t count, bool may_begin)
{
    int64_t now = monotonic_microseconds();
    for (size_t i = 0; i < count; i++) {
        if (clients[i].fd < 0 && may_begin && now >= clients[i].due)
            begin(load, &clients[i], now);
        fds[i] = (struct pollfd){.fd = clients[i].fd, .events = clients[i].is_sent ? POLLIN : POLLOUT};
    }
    if (poll(fds, count, 5) <= 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (fds[i].revents)
            (clients[i].is_sent ? receive : send_request)(load, &clients[i]);
}

static bool any_open(const struct client *clients, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (clients[i].fd >= 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: http-load PORT CLIENTS PER_SECOND SECONDS PATH...\n");
        return EX_USAGE;
    }
    size_t count = strtoul(argv[2], NULL, 10);
    struct load load = {
        .address = {.sin_family = AF_INET,
                    .sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10)),
                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
        .paths = argv + 5,
        .path_count = (size_t)argc - 5,
        .interval = 1000000 / strtol(argv[3], NULL, 10),
    };
    struct client *clients = xcalloc(count, sizeof *clients);
    struct pollfd *fds = xcalloc(count, sizeof *fds);
    int64_t start = monotonic_microseconds(), end = start + strtol(argv[4], NULL, 10) * 1000000;
    for (size_t i = 0; i < count; i++)
        clients[i] = (struct client){.fd = -1, .due = start + load.interval * (int64_t)i / (int64_t)count};
    while (monotonic_microseconds() < end)
        serve(&load, clients, fds, count, true);
    /* Who waits for an answer may have it, within reason. */
    end += 10000000;
    while (any_open(clients, count) && monotonic_microseconds() < end)
        serve(&load, clients, fds, count, false);
    for (size_t i = 0; i < count; i++)
        if (clients[i].fd >= 0)
            finish(&load, &clients[i]);
    printf("{\"answered\":%llu,\"refused\":%llu,\"longest_ms\":%lld}\n", (unsigned long long)load.answered,
           (unsigned long long)load.refused, (long long)(load.longest / 1000));
    free(clients);
    free(fds);
    return 0;
}
