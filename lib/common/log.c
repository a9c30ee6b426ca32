#include "common/log.h"

#include "common/json_write.h"
#include "common/timestamp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

void log_init(struct log *log, const char *tool)
{
    const char *format = getenv("LOG_FORMAT"), *level = getenv("LOG_LEVEL");
    *log = (struct log){.tool = tool, .level = LOG_LEVEL_WARNING};
    log->is_json = format && strcasecmp(format, "json") == 0;
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
    timestamp_format(now_microseconds(), 3, time);
    time[10] = ' ';
    time[19] = ',';
    buffer_append(out, time, 23);
    const char *parts[] = {" - ", log->tool, " - ", level_names[level], " - ", message, "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        buffer_append_string(out, parts[i]);
    for (size_t i = 0; i + 1 < out->len; i++) /* a library's message may have line breaks */
        if (out->data[i] == '\n' || out->data[i] == '\r')
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
    cleanup_buffer struct buffer out = {0};
    (log->is_json ? format_json : format_text)(&out, log, level, message);
    ssize_t ignored = write(STDERR_FILENO, out.data, out.len);
    (void)ignored;
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
