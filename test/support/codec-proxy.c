/* codec-proxy - stands between a Kafka client and a broker, and makes compression unknown on the way.
 *
 *   codec-proxy PORT
 *
 * prints the port of 127.0.0.1 that it listens on, and passes on what comes to the broker on PORT and back.
 * In the broker's answers its address becomes ours, and record batches compressed with gzip (codec 1) become
 * such of codec 7, which nobody knows: as a broker newer than its client would send them. A batch is
 * recognised by its own checksum, and gets a new one. (https://kafka.apache.org/protocol, "Record Batch") */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

/* Where things are in a record batch of version 2. */
enum {
    BATCH_LENGTH = 8,
    BATCH_BODY = 12,
    BATCH_MAGIC = 16,
    BATCH_CRC = 17,
    BATCH_ATTRIBUTES = 21,
    BATCH_HEADER = 61
};
enum { CODEC_MASK = 7, CODEC_GZIP = 1, CODEC_UNKNOWN = 7 };

static uint32_t read_uint32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return ntohl(value);
}

static void write_uint32(uint8_t *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, sizeof value);
}

/* CRC-32C, Castagnoli's polynomial, bit by bit: there is little to sum up. */
static uint32_t crc32c(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;
    while (size--) {
        crc ^= *data++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/* The size of the batch that begins here, 0 where none does. */
static size_t batch_size(const uint8_t *at, size_t left)
{
    if (left < BATCH_HEADER || at[BATCH_MAGIC] != 2)
        return 0;
    size_t size = BATCH_BODY + (size_t)read_uint32(at + BATCH_LENGTH);
    if (size < BATCH_HEADER || size > left)
        return 0;
    return crc32c(at + BATCH_ATTRIBUTES, size - BATCH_ATTRIBUTES) == read_uint32(at + BATCH_CRC) ? size : 0;
}

static void change_codecs(uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        size_t length = batch_size(data + i, size - i);
        if (!length)
            continue;
        uint8_t *attributes = data + i + BATCH_ATTRIBUTES + 1; /* the low one of two bytes */
        if ((*attributes & CODEC_MASK) == CODEC_GZIP) {
            *attributes = (uint8_t)((*attributes & ~CODEC_MASK) | CODEC_UNKNOWN);
            write_uint32(data + i + BATCH_CRC,
                         crc32c(data + i + BATCH_ATTRIBUTES, length - BATCH_ATTRIBUTES));
        }
        i += length - 1;
    }
}

/* In metadata, and where the group's coordinator is named: host, then port. */
static void change_address(uint8_t *data, size_t size, uint32_t theirs, uint32_t ours)
{
    static const char host[] = "127.0.0.1";
    const size_t host_size = sizeof host - 1;
    for (size_t i = 0; i + host_size + 4 <= size; i++)
        if (memcmp(data + i, host, host_size) == 0 && read_uint32(data + i + host_size) == theirs)
            write_uint32(data + i + host_size, ours);
}

static bool read_whole(int fd, void *data, size_t size)
{
    return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

static bool write_whole(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t done = send(fd, data, size, MSG_NOSIGNAL);
        if (done <= 0)
            return false;
        data += done;
        size -= (size_t)done;
    }
    return true;
}

/* One answer of the broker: its size, and so many bytes. */
static bool pass_answer(int broker, int client, uint32_t theirs, uint32_t ours)
{
    uint8_t size_bytes[4];
    if (!read_whole(broker, size_bytes, sizeof size_bytes))
        return false;
    size_t size = read_uint32(size_bytes);
    uint8_t *answer = malloc(sizeof size_bytes + size);
    if (!answer)
        err(EX_OSERR, "an answer of %zu bytes", size);
    memcpy(answer, size_bytes, sizeof size_bytes);
    bool is_good = read_whole(broker, answer + sizeof size_bytes, size);
    if (is_good) {
        change_address(answer + sizeof size_bytes, size, theirs, ours);
        change_codecs(answer + sizeof size_bytes, size);
        is_good = write_whole(client, answer, sizeof size_bytes + size);
    }
    free(answer);
    return is_good;
}

static void serve(int client, uint32_t theirs, uint32_t ours)
{
    uint8_t bytes[65536];
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)theirs), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int broker = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(broker, (struct sockaddr *)&address, sizeof address) < 0)
        return;
    struct pollfd waiting[] = {{.fd = client, .events = POLLIN}, {.fd = broker, .events = POLLIN}};
    while (poll(waiting, 2, -1) > 0) {
        if (waiting[0].revents) {
            ssize_t got = recv(client, bytes, sizeof bytes, 0);
            if (got <= 0 || !write_whole(broker, bytes, (size_t)got))
                return;
        }
        if (waiting[1].revents && !pass_answer(broker, client, theirs, ours))
            return;
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    uint32_t theirs = argc == 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    if (theirs == 0 || theirs > UINT16_MAX)
        errx(EX_USAGE, "Usage: codec-proxy PORT");
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        err(EX_OSERR, "could not listen");
    uint32_t ours = ntohs(address.sin_port);
    printf("%u\n", ours);
    fflush(stdout);
    signal(SIGCHLD, SIG_IGN); /* children are not waited for */
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0)
            err(EX_OSERR, "could not accept");
        if (fork() == 0) {
            close(listener);
            serve(client, theirs, ours);
            return EX_OK;
        }
        close(client);
    }
}
