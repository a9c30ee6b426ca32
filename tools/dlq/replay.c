/* The mode that takes dead letters back: each original to the topic it came from, its position to stdout. */
#include "dlq.h"

#include <stdio.h>

static void refuse(const struct dlq *dlq, const char *fault)
{
    const struct line *line = &dlq->line;
    if (line->has_source)
        log_error(
            &dlq->log,
            "could not replay %.*s/%d/%lld: %s; nothing from there on is acknowledged. Leave it out with "
            "kcat-actions --select '$record.offset != %lld'",
            (int)line->topic.len, line->topic.data, line->partition, (long long)line->offset, fault,
            (long long)line->offset);
    else
        log_error(&dlq->log, "could not replay line %llu: %s", (unsigned long long)dlq->line_number, fault);
}

static bool take(struct dlq *dlq)
{
    const struct line *line = &dlq->line;
    char what[64];
    snprintf(what, sizeof what, "it is %s", dlq_name_line(dlq));
    const char *fault =
        dlq->is_cut_line || line->kind == LINE_INVALID ? what : dead_letter_read(&dlq->letter, line);
    if (fault) {
        refuse(dlq, fault);
        return false;
    }
    const struct dead_letter *letter = &dlq->letter;
    dlq->topic.len = 0;
    buffer_append_slice(&dlq->topic, dlq->settings.topic ? slice_of_string(dlq->settings.topic)
                                     : letter->source_topic.data
                                         ? letter->source_topic
                                         : slice_of_string(dlq->settings.default_topic));
    buffer_append_char(&dlq->topic, '\0');
    uint64_t sequence = dlq_enter(dlq, (struct delivery){.bytes = line->text.len});
    publisher_send(&dlq->publisher, &(struct message){.sequence = sequence,
                                                      .topic = dlq->topic.data,
                                                      .key = letter->key,
                                                      .value = letter->value,
                                                      .headers = letter->headers,
                                                      .header_count = letter->header_count});
    if (line->has_source)
        in_flight_hold_position(&dlq->in_flight, line->topic, line->partition, line->offset + 1);
    return true;
}

static void confirmed(struct dlq *dlq, struct delivery *delivery)
{
    (void)delivery;
    dlq->published++;
}

/* It came from that topic once: the topic's max.message.bytes can be raised again. */
static bool too_large(struct dlq *dlq, uint64_t sequence, const char *topic)
{
    (void)dlq, (void)sequence, (void)topic;
    return false;
}

const struct mode replay_mode = {take, confirmed, too_large};
