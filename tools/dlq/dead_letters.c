/* The mode that gives the tool its name: rejects to the dead letter queue, or to a file. */
#include "dlq.h"

#include "common/timestamp.h"
#include "common/utf8.h"

/* The forms of a message, from the best to the one that fits anywhere. */
static const struct {
    enum dead_letter_format format;
    size_t cut;
    const char *name;
} forms[] = {
    {DEAD_LETTER_JSON, 0, "whole"},
    {DEAD_LETTER_RAW, 0, "in the raw format"},
    {DEAD_LETTER_CUT, 32768, "with its first 32768 bytes only"},
    {DEAD_LETTER_CUT, 256, "with its first 256 bytes only"},
};
#define FORM_COUNT (sizeof forms / sizeof *forms)
#define FORM_CUT 2

/* What a reject is called in the log: its correlation id, else where it is from. */
static void name_reject(const struct line *reject, uint64_t line_number, struct buffer *name)
{
    if (line_correlation_id(reject, name) && name->len > 0) {
        name->len = utf8_prefix(name->data, name->len, 200);
        for (char *at = name->data; at < name->data + name->len; at++)
            if ((unsigned char)*at < ' ')
                *at = ' ';
    } else if (reject->has_source) {
        buffer_append_slice(name, reject->topic);
        buffer_append_char(name, '/');
        buffer_append_int(name, reject->partition);
        buffer_append_char(name, '/');
        buffer_append_int(name, reject->offset);
    } else {
        buffer_append_string(name, "line ");
        buffer_append_int(name, (int64_t)line_number);
    }
    buffer_append_char(name, '\0');
}

static const char *topic_of(struct dlq *dlq, const struct line *reject)
{
    if (dlq->settings.topic)
        return dlq->settings.topic;
    dlq->topic.len = 0;
    buffer_append_slice(&dlq->topic,
                        reject->has_source ? reject->topic : slice_of_string(dlq->settings.default_topic));
    buffer_append(&dlq->topic, "-dlq", 5);
    return dlq->topic.data;
}

/* The message of a reject in the given form. Its parts are good until the next one is made. */
static struct message make_message(struct dlq *dlq, const struct line *reject, uint64_t sequence,
                                   unsigned form)
{
    dead_letter_write(&dlq->letter, reject,
                      &(struct dead_letter_style){.format = forms[form].format,
                                                  .consumer_group = dlq->settings.group,
                                                  .cut = forms[form].cut});
    return (struct message){.sequence = sequence,
                            .topic = topic_of(dlq, reject),
                            .key = dlq->letter.key,
                            .value = dlq->letter.value,
                            .headers = dlq->letter.headers,
                            .header_count = dlq->letter.header_count};
}

static void take_reject(struct dlq *dlq, const struct line *reject, unsigned form)
{
    stats_add(dlq->stats, COUNTER_rejects_read, 1);
    uint64_t sequence =
        dlq_enter(dlq, (struct delivery){.line = xstrndup(reject->text.data, reject->text.len),
                                         .line_len = reject->text.len,
                                         .bytes = 2 * reject->text.len, /* here, and with the client */
                                         .form = form});
    if (dlq->settings.output_path) {
        reject_file_add(&dlq->file, reject->text);
        return;
    }
    struct message message = make_message(dlq, reject, sequence, form);
    publisher_send(&dlq->publisher, &message);
}

/* A reject too long to be read: what its first bytes tell goes to the queue. */
static void take_beginning(struct dlq *dlq)
{
    cleanup_buffer struct buffer text = {0};
    log_warning(&dlq->log, "line %llu is longer than --max-line: only its beginning is kept",
                (unsigned long long)dlq->line_number);
    reject_write(&text, &dlq->line,
                 &(struct line_error){.tool = "dlq",
                                      .class = CLASS_DECODE,
                                      .message = "the reject is longer than dlq --max-line",
                                      .at = now_microseconds()});
    line_parse(&dlq->rejected, slice_of(text.data, text.len - 1));
    take_reject(dlq, &dlq->rejected, FORM_CUT);
}

static bool take(struct dlq *dlq)
{
    if (dlq->is_cut_line) {
        take_beginning(dlq);
    } else if (dlq->line.kind == LINE_REJECT) {
        take_reject(dlq, &dlq->line, dlq->settings.format == DEAD_LETTER_RAW ? 1 : 0);
    } else {
        log_error(&dlq->log,
                  "line %llu is %s: dlq takes rejects and acknowledgements (is pgsink missing before it?). "
                  "Nothing from there on is acknowledged",
                  (unsigned long long)dlq->line_number, dlq_name_line(dlq));
        return false;
    }
    return true;
}

static void confirmed(struct dlq *dlq, struct delivery *delivery)
{
    cleanup_buffer struct buffer name = {0};
    line_parse(&dlq->rejected, slice_of(delivery->line, delivery->line_len));
    name_reject(&dlq->rejected, delivery->line_number, &name);
    const struct log events = log_of_events(&dlq->log); /* several may have one correlation id */
    log_warning(&events, "Event sent to DLQ: %s", name.data);
    stats_add(dlq->stats, COUNTER_rejects_published, 1);
}

static bool too_large(struct dlq *dlq, uint64_t sequence, const char *topic)
{
    struct delivery *delivery = in_flight_get(&dlq->in_flight, sequence);
    if (delivery->form + 1 == FORM_COUNT)
        return false;
    unsigned form = ++delivery->form;
    cleanup_buffer struct buffer name = {0};
    line_parse(&dlq->rejected, slice_of(delivery->line, delivery->line_len));
    name_reject(&dlq->rejected, delivery->line_number, &name);
    log_warning(&dlq->log,
                "%s is too large for topic %s: sending it %s (raise the topic's max.message.bytes)",
                name.data, topic, forms[form].name);
    struct message message = make_message(dlq, &dlq->rejected, sequence, form);
    publisher_send_alone(&dlq->publisher, &message);
    return true;
}

const struct mode dead_letters_mode = {take, confirmed, too_large};
