/* listen.h - the address to listen on. */
#ifndef HEALTHD_LISTEN_H
#define HEALTHD_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#define LISTEN_DEFAULT_ADDRESS "127.0.0.1"

struct listen_address {
    char host[64]; /* a numeric address, or a name; an IPv6 address without its brackets */
    char port[6];
};

/* "8080", "127.0.0.1:8080", "localhost:0", "[::1]:8080". */
bool listen_parse(const char *text, struct listen_address *address);
/* A port's number on the default address. */
bool listen_parse_port(const char *text, struct listen_address *address);

/* A listening, non-blocking socket, and the port it got; -1, and *error is a static text. */
int listen_open(const struct listen_address *address, uint16_t *port, const char **error);

#endif
