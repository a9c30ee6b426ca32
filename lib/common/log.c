#include "common/log.h"

#include "common/json_write.h"
#include "common/timestamp.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <syslog.h>

#define REPEAT_INTERVAL_US 60000000

static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
static const int level_priorities[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR};

/* The last message, if it may be held back, and how often it came again since it was written. librdkafka
 * logs from threads of its own, so there is a lock. */
struct log_repeats {
    pthread_mutex_t mutex;
    struct log log; /* how to write it at the exit, when the caller's may be gone */
    enum log_level level;
    char *message; /* NULL: none */
    int64_t told_at;
    unsigned long long count;
};

/* systemd names the device and inode of the stream that it has given us; we may have been redirected. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char ours[64];
    if (!stream || fstat(STDERR_FILENO, &status))
        return false;
    snprintf(ours, sizeof ours, "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino);
    return strcmp(stream, ours) == 0;
}

static void tell_repeats(struct log_repeats *repeats);

static void end_repeats(int exit_status, void *opaque)
{
    struct log_repeats *repeats = opaque;
    (void)exit_status;
    pthread_mutex_lock(&repeats->mutex);
    tell_repeats(repeats);
    free(repeats->message);
    repeats->message = NULL;
    pthread_mutex_unlock(&repeats->mutex); /* a thread that logs still finds it whole */
}

static void start_repeats(struct log *log)
{
    struct log_repeats *repeats = xcalloc(1, sizeof *repeats);
    pthread_mutex_init(&repeats->mutex, NULL);
    repeats->log = *log;
    log->repeats = repeats;
    on_exit(end_repeats, repeats);
}

static void init_level(struct log *log)
{
    const char *level = getenv("LOG_LEVEL");
    if (!level || !*level)
        return;
    for (int i = LOG_LEVEL_DEBUG; i <= LOG_LEVEL_ERROR; i++)
        if (strcasecmp(level, level_names[i]) == 0) {
            log->level = (enum log_level)i;
            return;
        }
    log->level = LOG_LEVEL_INFO;
    log_warning(log, "LOG_LEVEL \"%s\" is none of DEBUG, INFO, WARNING, ERROR: taken as INFO", level);
}

void log_init(struct log *log, const char *tool)
{
    const char *format = getenv("LOG_FORMAT");
    *log = (struct log){.tool = tool, .level = LOG_LEVEL_WARNING};
    log->is_json = format && strcasecmp(format, "json") == 0;
    log->is_journal = stderr_is_journal();
    start_repeats(log);
    init_level(log);
}

void log_adjust(struct log *log, int steps)
{
    int level = (int)log->level - steps;
    if (level < LOG_LEVEL_DEBUG)
        level = LOG_LEVEL_DEBUG;
    log->level = level > LOG_LEVEL_ERROR ? LOG_LEVEL_ERROR : (enum log_level)level;
}

static void format_text(struct buffer *out, const struct log *log, enum log_level level, const char *message)
{
    char time[TIMESTAMP_TEXT_SIZE];
    size_t start = out->len;
    timestamp_format(now_microseconds(), 3, time);
    time[10] = ' ';
    time[19] = ',';
    buffer_append(out, time, 23);
    const char *parts[] = {" - ", log->tool, " - ", level_names[level], " - ", message, "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        buffer_append_string(out, parts[i]);
    /* A library's message may have line breaks, and an event's own text whatever a terminal would obey. */
    for (size_t i = start; i + 1 < out->len; i++)
        if ((unsigned char)out->data[i] < ' ' || out->data[i] == 0x7f)
            out->data[i] = ' ';
}

static void format_json(struct buffer *out, const struct log *log, enum log_level level, const char *message)
{
    char time[TIMESTAMP_TEXT_SIZE];
    timestamp_format(now_microseconds(), 3, time);
    const char *members[][2] = {
        {"time", time}, {"level", level_names[level]}, {"tool", log->tool}, {"message", message}};
    json_open(out, '{');
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_member(out, members[i][0]);
        json_write_string(out, slice_of_string(members[i][1]));
    }
    json_close(out, '}');
    buffer_append_char(out, '\n');
}

static void write_line(const struct log *log, enum log_level level, const char *message)
{
    cleanup_buffer struct buffer out = {0};
    if (log->is_journal) {
        const char prefix[] = {'<', (char)('0' + level_priorities[level]), '>'};
        buffer_append(&out, prefix, sizeof prefix);
    }
    (log->is_json ? format_json : format_text)(&out, log, level, message);
    ssize_t ignored = write(STDERR_FILENO, out.data, out.len);
    (void)ignored;
}

/* Writes what was held back, if anything was. */
static void tell_repeats(struct log_repeats *repeats)
{
    if (repeats->count > 1) {
        cleanup_free char *text = xasprintf("%s (repeated %llu times)", repeats->message, repeats->count);
        write_line(&repeats->log, repeats->level, text);
    } else if (repeats->count == 1) {
        write_line(&repeats->log, repeats->level, repeats->message);
    }
    repeats->count = 0;
    repeats->told_at = monotonic_microseconds();
}

static bool is_repeat(const struct log_repeats *repeats, enum log_level level, const char *message)
{
    return repeats->message && repeats->level == level && strcmp(repeats->message, message) == 0;
}

/* Writes the message, or holds it back. INFO and DEBUG tell of events, which people count: those are all
 * written. */
static void write_or_count(struct log_repeats *repeats, enum log_level level, const char *message)
{
    pthread_mutex_lock(&repeats->mutex);
    if (is_repeat(repeats, level, message)) {
        repeats->count++;
        if (monotonic_microseconds() - repeats->told_at >= REPEAT_INTERVAL_US)
            tell_repeats(repeats);
    } else {
        tell_repeats(repeats);
        write_line(&repeats->log, level, message);
        free(repeats->message);
        repeats->message = level >= LOG_LEVEL_WARNING ? xstrdup(message) : NULL;
        repeats->level = level;
    }
    pthread_mutex_unlock(&repeats->mutex);
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    if (level < log->level)
        return;
    int saved_errno = errno; /* so that %m in the caller's next message still tells the truth */
    cleanup_free char *message = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&message, format, arguments) < 0)
        message = NULL;
    va_end(arguments);
    if (!message)
        return;
    for (size_t len = strlen(message); len && message[len - 1] == '\n';)
        message[--len] = '\0';
    if (log->repeats)
        write_or_count(log->repeats, level, message);
    else
        write_line(log, level, message);
    errno = saved_errno;
}

bool log_is_due(struct log_limit *limit, int64_t interval_us)
{
    int64_t now = monotonic_microseconds();
    if (limit->last && now - limit->last < interval_us)
        return false;
    limit->last = now;
    return true;
}
