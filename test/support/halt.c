/* halt.so - stops a tool at one named point of its work, so that a test can look at what is safe just then
 * and kill it there. Preloaded (LD_PRELOAD): it stands before the functions of libc, libpq and librdkafka by
 * which a tool touches the world, so the tools themselves know nothing of it.
 *
 *   HALT_AT=POINT     one of the points below
 *   HALT_MARK=FILE    made when the point is reached; where it is there already, the process passes by
 *
 * The process stops itself with SIGSTOP, all its threads with it; SIGCONT lets it go on as if nothing had
 * been.
 *
 *   copy-sent         pgsink: the rows are with the server, the end of the COPY is not
 *   commit-answered   pgsink: the server has committed rows and answered; the answer is not read
 *   ack-unwritten     an ack is about to be written, all before it is
 *   ack-half          half of an ack's line is written
 *   ack-written       an ack is written
 *   paragraph-half    batch: half of what it has is written
 *   publish-sent      dlq: a message is sent, the broker's answer is not read
 *   offset-unstored   kcat-actions: an ack is read, its offset is not yet marked for commit
 *   commit-unsent     kcat-actions: that offset is about to be committed
 *   commit-sent       kcat-actions: the commit is sent, the broker's answer is not read
 *   file-unsynced     dlq -o: the lines are written, not yet synced
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Kafka's request types: https://kafka.apache.org/protocol#protocol_api_keys */
enum { API_PRODUCE = 0, API_OFFSET_COMMIT = 8 };

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static bool halts_at(const char *point)
{
    const char *wanted = getenv("HALT_AT");
    return wanted && strcmp(wanted, point) == 0;
}

static void halt(void)
{
    int mark = open(getenv("HALT_MARK"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (mark < 0)
        return;
    close(mark);
    raise(SIGSTOP); /* to this thread: sent to the process, it may reach another one, and this one goes on
                       meanwhile */
}

static uint32_t big_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* ---- pgsink and the server */

int PQputCopyEnd(PGconn *conn, const char *error)
{
    if (halts_at("copy-sent")) {
        struct pollfd socket = {.fd = PQsocket(conn), .events = POLLOUT};
        while (PQflush(conn) == 1)
            poll(&socket, 1, -1);
        halt();
    }
    return REAL(PQputCopyEnd)(conn, error);
}

static bool is_of_rows(const unsigned char *tag)
{
    static const char *const tags[] = {"COPY ", "COMMIT", "INSERT 0 "};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (strncmp((const char *)tag, tags[i], strlen(tags[i])) == 0)
            return true;
    return false;
}

/* Whether the server's messages tell of rows that were committed: a command's tag and no error behind it,
 * then 'idle', not within a transaction.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html */
static bool tells_of_commit(const unsigned char *bytes, size_t len)
{
    bool has_rows = false;
    for (size_t at = 0; at + 6 <= len; at += 1 + big_endian(bytes + at + 1)) {
        if (bytes[at] == 'C')
            has_rows = has_rows || is_of_rows(bytes + at + 5);
        else if (bytes[at] == 'E')
            has_rows = false;
        else if (bytes[at] == 'Z' && has_rows && bytes[at + 5] == 'I')
            return true;
    }
    return false;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    if (halts_at("commit-answered")) {
        unsigned char answer[4096];
        ssize_t len = REAL(recv)(fd, answer, sizeof answer, MSG_PEEK | MSG_DONTWAIT);
        if (len > 0 && tells_of_commit(answer, (size_t)len))
            halt();
    }
    return REAL(recv)(fd, buffer, size, flags);
}

/* ---- acks */

ssize_t write(int fd, const void *data, size_t len)
{
    __typeof__(&write) real = REAL(write);
    bool is_half = halts_at("ack-half"), is_unwritten = halts_at("ack-unwritten");
    const char *ack =
        is_half || is_unwritten || halts_at("ack-written") ? memmem(data, len, "{\"ack\":", 7) : NULL;
    if (!ack)
        return real(fd, data, len);
    if (!is_half && !is_unwritten) {
        ssize_t wrote = real(fd, data, len);
        halt();
        return wrote;
    }
    const char *end = memchr(ack, '\n', len - (size_t)(ack - (const char *)data));
    size_t before = (size_t)(ack - (const char *)data) + (is_half && end ? (size_t)(end - ack) / 2 : 0);
    ssize_t wrote = before ? real(fd, data, before) : 0;
    if (wrote != (ssize_t)before)
        return wrote;
    halt();
    return before ? wrote : real(fd, data, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (!halts_at("paragraph-half") || count == 0 || parts->iov_len < 2)
        return REAL(writev)(fd, parts, count);
    ssize_t wrote = REAL(write)(fd, parts->iov_base, parts->iov_len / 2);
    halt();
    return wrote;
}

int fsync(int fd)
{
    if (halts_at("file-unsynced"))
        halt();
    return REAL(fsync)(fd);
}

/* ---- Kafka */

/* Something was acknowledged: until then kcat-actions commits where it began. */
static atomic_bool has_stored;

/* Whether this is the beginning of a request of that type: its size, its type, and all the rest. */
static bool is_request(const struct msghdr *message, int type)
{
    const unsigned char *bytes = message->msg_iov->iov_base;
    size_t len = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        len += message->msg_iov[i].iov_len;
    return message->msg_iov->iov_len >= 6 && big_endian(bytes) + 4 == len && bytes[4] == 0 &&
           bytes[5] == type;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    bool is_commit = has_stored && message->msg_iovlen && is_request(message, API_OFFSET_COMMIT);
    if (is_commit && halts_at("commit-unsent"))
        halt();
    ssize_t sent = REAL(sendmsg)(fd, message, flags);
    if (sent > 0 && ((is_commit && halts_at("commit-sent")) ||
                     (message->msg_iovlen && is_request(message, API_PRODUCE) && halts_at("publish-sent"))))
        halt();
    return sent;
}

rd_kafka_resp_err_t rd_kafka_offsets_store(rd_kafka_t *kafka, rd_kafka_topic_partition_list_t *offsets)
{
    bool is_progress = offsets->elems[0].offset > 0;
    if (is_progress && halts_at("offset-unstored"))
        halt();
    rd_kafka_resp_err_t error = REAL(rd_kafka_offsets_store)(kafka, offsets);
    if (is_progress)
        has_stored = true;
    return error;
}
