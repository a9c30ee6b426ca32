/* From acks on the fifo to offsets that may be committed. */
#include "consumer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <string.h>
#include <sysexits.h>

#define MAX_ACK_LINE ((size_t)64 * 1024 * 1024)

bool acks_open(struct consumer *consumer)
{
    const char *path = consumer->options.acks;
    struct stat status;
    line_reader_init(&consumer->acks, -1, MAX_ACK_LINE);
    if (!path)
        return true;
    /* Without blocking: the writer comes when the rest of the pipeline is there. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        log_error(&consumer->log, "could not open the fifo %s: %m%s", path,
                  errno == ENOENT ? "; make it with mkfifo" : "");
        consumer->exit_code = EX_NOINPUT;
        return false;
    }
    if (fstat(fd, &status) < 0 || !S_ISFIFO(status.st_mode)) {
        log_error(&consumer->log, "%s is not a fifo; make one with mkfifo", path);
        close(fd);
        consumer->exit_code = EX_USAGE;
        return false;
    }
    line_reader_init(&consumer->acks, fd, MAX_ACK_LINE);
    return true;
}

static void take_ack(struct consumer *consumer, const struct ack *ack)
{
    char topic[256];
    if (ack->topic.len >= sizeof topic)
        return;
    memcpy(topic, ack->topic.data, ack->topic.len);
    topic[ack->topic.len] = '\0';
    struct tracked_partition *partition = tracker_get(&consumer->tracker, topic, ack->partition);
    size_t count = tracker_acknowledge(&consumer->tracker, partition, ack->next);
    stats_add(consumer->stats, COUNTER_records_acked, count);
    if (count && consumer->is_draining && !consumer->is_asked_to_end && !consumer->exit_code)
        consumer_limit_drain(consumer); /* nobody is in a hurry, and there is progress */
    kafka_store(consumer, partition);
}

/* Nothing behind a line that is no ack may be committed, so it ends the reading of acks. */
static void refuse(struct consumer *consumer, int code, const char *why)
{
    log_error(&consumer->log, "%s: %s", consumer->options.acks, why);
    consumer->acks_are_closed = true;
    consumer_drain(consumer, code);
}

static void take_line(struct consumer *consumer, struct slice text)
{
    struct json_scanner scanner;
    struct ack ack;
    line_parse(&consumer->ack_line, text);
    switch (consumer->ack_line.kind) {
    case LINE_BLANK:
        return;
    case LINE_ACK:
        line_acks_begin(&consumer->ack_line, &scanner);
        while (line_acks_next(&scanner, &ack))
            take_ack(consumer, &ack);
        return;
    case LINE_REJECT:
        refuse(consumer, EX_DATAERR,
               "a reject came back instead of an ack: nobody takes care of rejects; put dlq "
               "before the fifo (pgsink | dlq > fifo)");
        return;
    default:
        refuse(consumer, EX_DATAERR, "a line came back that is no ack");
    }
}

void acks_read(struct consumer *consumer)
{
    struct slice line;
    ssize_t got = line_reader_fill(&consumer->acks);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR)
            refuse(consumer, EX_IOERR, strerror(errno));
        return;
    }
    for (;;) {
        enum reader_status status = line_reader_next(&consumer->acks, &line);
        if (status == READER_LINE && !consumer->acks_are_closed)
            take_line(consumer, line);
        else if (status == READER_TOO_LONG)
            refuse(consumer, EX_DATAERR, "a line came back that is no ack");
        else if (status != READER_LINE)
            break; /* a torn last line is the writer's death within it: not acknowledged */
    }
    if (got > 0 || consumer->acks_are_closed)
        return;
    consumer->acks_are_closed = true;
    if (!consumer->is_draining) {
        log_error(&consumer->log, "%s: the writer of the acks has ended", consumer->options.acks);
        consumer_drain(consumer, EX_UNAVAILABLE);
    }
}
