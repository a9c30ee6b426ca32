/* The loop: one poll() over stdin, stdout, the Kafka client and the signals. Lines are taken while there is
 * room for what they put in flight; acks leave as soon as all before them is safe. */
#include "dlq.h"

#include "common/signals.h"
#include "common/timestamp.h"

#include <errno.h>
#include <poll.h>
#include <sysexits.h>

#define MAX_UNREAD_ACKS ((size_t)1 << 20) /* bytes of acks that nobody has read yet */
#define MESSAGE_OVERHEAD 512              /* bytes of bookkeeping for each message, here and in the client */
#define STALL_US 10000000
#define STALL_INTERVAL_US 30000000
#define HEARTBEAT_US 1000000

const char *dlq_name_line(const struct dlq *dlq)
{
    if (dlq->is_cut_line)
        return "longer than --max-line";
    switch (dlq->line.kind) {
    case LINE_EVENT:
        return "an event";
    case LINE_ENVELOPE:
        return "an envelope with no error";
    case LINE_INVALID:
        return "no JSON";
    default:
        return "of another kind";
    }
}

uint64_t dlq_enter(struct dlq *dlq, struct delivery delivery)
{
    if (in_flight_count(&dlq->in_flight) == 0)
        dlq->progress_time = monotonic_microseconds();
    delivery.line_number = dlq->line_number;
    delivery.bytes += MESSAGE_OVERHEAD;
    return in_flight_add(&dlq->in_flight, delivery);
}

void dlq_confirm(struct dlq *dlq, uint64_t sequence)
{
    dlq->progress_time = monotonic_microseconds();
    stats_set(dlq->stats, COUNTER_dlq_refused_since, 0);
    dlq->settings.mode->confirmed(dlq, in_flight_get(&dlq->in_flight, sequence));
    in_flight_confirm(&dlq->in_flight, sequence);
}

static bool is_publishing(const struct dlq *dlq)
{
    return dlq->settings.output_path == NULL;
}

static bool has_room(const struct dlq *dlq)
{
    bool is_busy = is_publishing(dlq) ? publisher_is_busy(&dlq->publisher) : dlq->file.retry_at != 0;
    return !is_busy && in_flight_count(&dlq->in_flight) < dlq->settings.max_pending &&
           dlq->in_flight.bytes < dlq->settings.max_pending_bytes &&
           output_pending(&dlq->output) < MAX_UNREAD_ACKS;
}

/* Without a reader, acks lead nowhere: what is published from here on would be published again. */
static void miss_reader(struct dlq *dlq)
{
    log_error(&dlq->log, "nobody reads the acknowledgements any more: stdout is closed");
    dlq->failure = EX_IOERR;
}

static void take_line(struct dlq *dlq, struct slice text, bool is_cut)
{
    dlq->line_number++;
    dlq->is_cut_line = is_cut;
    if (is_cut)
        line_parse_prefix(&dlq->line, text);
    else
        line_parse(&dlq->line, text);
    if (dlq->line.kind == LINE_BLANK)
        return;
    if (dlq->has_no_reader) {
        miss_reader(dlq);
        return;
    }
    if (dlq->line.kind == LINE_ACK) {
        in_flight_hold_ack(&dlq->in_flight, text);
    } else if (!dlq->settings.mode->take(dlq)) {
        dlq->exit_status = EX_DATAERR;
        dlq->has_read_all = true;
    }
}

/* Takes the lines that are here. Returns whether more must be read first. */
static bool take_lines(struct dlq *dlq)
{
    struct slice text;
    while (!dlq->has_read_all && !dlq->failure && has_room(dlq)) {
        enum reader_status status = line_reader_next(&dlq->reader, &text);
        switch (status) {
        case READER_LINE:
        case READER_TORN:
        case READER_TOO_LONG:
            take_line(dlq, text, status == READER_TOO_LONG);
            break;
        case READER_EMPTY:
            /* After a signal no more is read; half a line was never acknowledged, and comes again. */
            dlq->has_read_all = dlq->drain_until != 0;
            return !dlq->has_read_all;
        case READER_END:
            dlq->has_read_all = true;
            break;
        }
    }
    return false;
}

static void fill(struct dlq *dlq)
{
    if (line_reader_fill(&dlq->reader) < 0 && errno != EAGAIN && errno != EINTR) {
        log_error(&dlq->log, "could not read stdin: %m");
        dlq->failure = EX_IOERR;
    }
}

static void commit_file(struct dlq *dlq)
{
    switch (reject_file_commit(&dlq->file, &dlq->log)) {
    case FILE_SAFE:
        while (in_flight_count(&dlq->in_flight) > 0)
            dlq_confirm(dlq, dlq->in_flight.first);
        break;
    case FILE_WAITS:
        if (stats_get(dlq->stats, COUNTER_dlq_refused_since) == 0)
            stats_set(dlq->stats, COUNTER_dlq_refused_since, (uint64_t)now_microseconds());
        break;
    case FILE_UNUSABLE:
        log_error(&dlq->log, "could not write to %s: %m", dlq->file.path);
        dlq->failure = EX_IOERR;
        break;
    }
}

static void forward_acks(struct dlq *dlq)
{
    stats_add(dlq->stats, COUNTER_acks_forwarded,
              in_flight_release_acks(&dlq->in_flight, &dlq->output.buffer));
    if (!output_push(&dlq->output)) {
        if (errno == EPIPE)
            log_error(&dlq->log, "could not write to stdout: nobody reads the acknowledgements any more");
        else
            log_error(&dlq->log, "could not write to stdout: %m");
        dlq->failure = EX_IOERR;
    }
}

/* Nothing was confirmed for a while, and the client has no error to tell: it tries on its own. */
static void watch_progress(struct dlq *dlq)
{
    int64_t waited = monotonic_microseconds() - dlq->progress_time;
    if (!is_publishing(dlq) || in_flight_count(&dlq->in_flight) == 0 || waited < STALL_US)
        return;
    if (stats_get(dlq->stats, COUNTER_dlq_refused_since) == 0)
        stats_set(dlq->stats, COUNTER_dlq_refused_since, (uint64_t)(now_microseconds() - waited));
    if (log_is_due(&dlq->stall_limit, STALL_INTERVAL_US))
        log_warning(&dlq->log, "%llu messages wait for the broker; nothing was confirmed for %lld s (%s)",
                    (unsigned long long)in_flight_count(&dlq->in_flight), (long long)(waited / 1000000),
                    dlq->publisher.last_trouble ? dlq->publisher.last_trouble : "it gives no reason");
}

static void watch_signals(struct dlq *dlq)
{
    int64_t now = monotonic_microseconds();
    if (!dlq->drain_until && signals_pending()) {
        log_info(&dlq->log, "ending: waiting for what is pending");
        dlq->drain_until = now + dlq->settings.drain_timeout_us;
    }
    if (dlq->drain_until && now >= dlq->drain_until && !in_flight_is_empty(&dlq->in_flight)) {
        log_error(&dlq->log,
                  "%llu messages are not confirmed within --drain-timeout; they are not acknowledged",
                  (unsigned long long)in_flight_count(&dlq->in_flight));
        dlq->failure = EX_TEMPFAIL;
    }
}

/* Milliseconds until something is due without an event. */
static int poll_timeout(const struct dlq *dlq)
{
    int64_t wait = HEARTBEAT_US, now = monotonic_microseconds();
    int64_t due = is_publishing(dlq)   ? publisher_wait(&dlq->publisher)
                  : dlq->file.retry_at ? dlq->file.retry_at - now
                                       : INT64_MAX;
    int64_t drain = dlq->drain_until ? dlq->drain_until - now : INT64_MAX;
    wait = due < wait ? due : wait;
    wait = drain < wait ? drain : wait;
    return wait <= 0 ? 0 : (int)((wait + 999) / 1000);
}

static void wait_for_events(struct dlq *dlq, bool wants_input, int signal_fd)
{
    struct pollfd fds[] = {
        {.fd = wants_input ? dlq->reader.fd : -1, .events = POLLIN},
        {.fd = dlq->has_no_reader ? -1 : dlq->output.fd,
         .events = output_pending(&dlq->output) ? POLLOUT : 0},
        {.fd = dlq->drain_until ? -1 : signal_fd, .events = POLLIN},
        {.fd = is_publishing(dlq) ? dlq->publisher.event_fd : -1, .events = POLLIN},
    };
    if (poll(fds, sizeof fds / sizeof *fds, poll_timeout(dlq)) <= 0)
        return;
    if (fds[0].revents && !signals_pending())
        fill(dlq);
    /* Whoever has all the acks it waits for may leave before us. */
    if (fds[1].revents & POLLERR) {
        dlq->has_no_reader = true;
        if (!in_flight_is_empty(&dlq->in_flight) || output_pending(&dlq->output))
            miss_reader(dlq);
    }
}

static bool is_finished(const struct dlq *dlq)
{
    return dlq->has_read_all && in_flight_is_empty(&dlq->in_flight) && !output_pending(&dlq->output);
}

int dlq_run(struct dlq *dlq, int signal_fd)
{
    while (!dlq->failure) {
        stats_heartbeat(dlq->stats);
        watch_signals(dlq);
        if (is_publishing(dlq))
            publisher_poll(&dlq->publisher);
        bool wants_input = take_lines(dlq);
        if (is_publishing(dlq))
            dlq->failure = dlq->publisher.failure ? dlq->publisher.failure : dlq->failure;
        else
            commit_file(dlq);
        forward_acks(dlq);
        watch_progress(dlq);
        stats_set(dlq->stats, COUNTER_rejects_pending, in_flight_count(&dlq->in_flight));
        if (dlq->failure || is_finished(dlq))
            break;
        if (wants_input || dlq->has_read_all || !has_room(dlq))
            wait_for_events(dlq, wants_input, signal_fd);
    }
    return dlq->failure ? dlq->failure : dlq->exit_status;
}
