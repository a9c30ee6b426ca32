#include "listen.h"

#include "common/memory.h"
#include "common/options.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BACKLOG 511

static bool set(struct listen_address *address, const char *host, size_t host_len, const char *port)
{
    int64_t number;
    if (host_len == 0 || host_len >= sizeof address->host || !parse_count(port, 0, 65535, &number))
        return false;
    memcpy(address->host, host, host_len);
    address->host[host_len] = '\0';
    snprintf(address->port, sizeof address->port, "%u", (unsigned)number);
    return true;
}

bool listen_parse_port(const char *text, struct listen_address *address)
{
    return set(address, LISTEN_DEFAULT_ADDRESS, strlen(LISTEN_DEFAULT_ADDRESS), text);
}

bool listen_parse(const char *text, struct listen_address *address)
{
    if (*text == '[') {
        const char *end = strchr(text, ']');
        return end && end[1] == ':' && set(address, text + 1, (size_t)(end - text - 1), end + 2);
    }
    const char *colon = strchr(text, ':');
    if (!colon)
        return listen_parse_port(text, address);
    return set(address, text, (size_t)(colon - text), colon + 1);
}

static int open_socket(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int reason = errno;
    if (fd >= 0)
        close(fd);
    errno = reason;
    return -1;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
        return 0;
    return ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port
                                            : ((struct sockaddr_in *)&name)->sin_port);
}

int listen_open(const struct listen_address *address, uint16_t *port, const char **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int failure = getaddrinfo(address->host, address->port, &hints, &list);
    if (failure) {
        *error = failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure);
        return -1;
    }
    int fd = open_socket(list);
    *error = fd < 0 ? strerror(errno) : NULL;
    freeaddrinfo(list);
    if (fd >= 0)
        *port = port_of(fd);
    return fd;
}
