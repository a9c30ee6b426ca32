#include "in_flight.h"

struct held_ack {
    uint64_t after;  /* every message below this number must be confirmed */
    size_t text_len; /* 0: a position */
    size_t position; /* index of ack_positions */
    int64_t next;
};

struct ack_position {
    char *topic;
    int32_t partition;
    int64_t next;
    bool has_moved;
};

void in_flight_free(struct in_flight *in_flight)
{
    for (uint64_t i = in_flight->first; i < in_flight->next; i++)
        free(in_flight_get(in_flight, i)->line);
    for (size_t i = 0; i < in_flight->ack_position_count; i++)
        free(in_flight->ack_positions[i].topic);
    free(in_flight->ring);
    free(in_flight->ack_positions);
    buffer_free(&in_flight->acks);
    buffer_free(&in_flight->ack_texts);
}

struct delivery *in_flight_get(struct in_flight *in_flight, uint64_t sequence)
{
    return &in_flight->ring[sequence & (in_flight->capacity - 1)];
}

static void grow(struct in_flight *in_flight)
{
    size_t capacity = in_flight->capacity ? in_flight->capacity * 2 : 1024;
    struct delivery *ring = xcalloc(capacity, sizeof *ring);
    for (uint64_t i = in_flight->first; i < in_flight->next; i++)
        ring[i & (capacity - 1)] = *in_flight_get(in_flight, i);
    free(in_flight->ring);
    in_flight->ring = ring;
    in_flight->capacity = capacity;
}

uint64_t in_flight_add(struct in_flight *in_flight, struct delivery delivery)
{
    if (in_flight_count(in_flight) == in_flight->capacity)
        grow(in_flight);
    delivery.is_confirmed = false;
    in_flight->bytes += delivery.bytes;
    *in_flight_get(in_flight, in_flight->next) = delivery;
    return in_flight->next++;
}

void in_flight_confirm(struct in_flight *in_flight, uint64_t sequence)
{
    struct delivery *delivery = in_flight_get(in_flight, sequence);
    delivery->is_confirmed = true;
    in_flight->bytes -= delivery->bytes;
    in_flight->confirmed++;
    free(delivery->line);
    delivery->line = NULL;
    while (in_flight->first < in_flight->next && in_flight_get(in_flight, in_flight->first)->is_confirmed)
        in_flight->first++;
}

static void hold(struct in_flight *in_flight, struct held_ack ack)
{
    ack.after = in_flight->next;
    buffer_append(&in_flight->acks, &ack, sizeof ack);
    in_flight->bytes += sizeof ack + ack.text_len;
}

void in_flight_hold_ack(struct in_flight *in_flight, struct slice line)
{
    buffer_append_slice(&in_flight->ack_texts, line);
    buffer_append_char(&in_flight->ack_texts, '\n');
    hold(in_flight, (struct held_ack){.text_len = line.len + 1});
}

static size_t find_position(struct in_flight *in_flight, struct slice topic, int32_t partition)
{
    size_t count = in_flight->ack_position_count;
    for (size_t i = 0; i < count; i++)
        if (in_flight->ack_positions[i].partition == partition &&
            slice_is(topic, in_flight->ack_positions[i].topic))
            return i;
    in_flight->ack_positions =
        xreallocarray(in_flight->ack_positions, count + 1, sizeof *in_flight->ack_positions);
    in_flight->ack_positions[count] =
        (struct ack_position){.topic = xstrndup(topic.data, topic.len), .partition = partition};
    return in_flight->ack_position_count++;
}

void in_flight_hold_position(struct in_flight *in_flight, struct slice topic, int32_t partition, int64_t next)
{
    hold(in_flight, (struct held_ack){.position = find_position(in_flight, topic, partition), .next = next});
}

static size_t write_moved_positions(struct in_flight *in_flight, struct buffer *out)
{
    size_t count = 0;
    struct ack *acks = xreallocarray(NULL, in_flight->ack_position_count, sizeof *acks);
    for (size_t i = 0; i < in_flight->ack_position_count; i++) {
        struct ack_position *position = &in_flight->ack_positions[i];
        if (position->has_moved)
            acks[count++] = (struct ack){.topic = slice_of_string(position->topic),
                                         .partition = position->partition,
                                         .next = position->next};
        position->has_moved = false;
    }
    if (count)
        ack_write(out, acks, count);
    free(acks);
    return count > 0;
}

size_t in_flight_release_acks(struct in_flight *in_flight, struct buffer *out)
{
    const struct held_ack *acks = (const void *)in_flight->acks.data;
    size_t count = in_flight->acks.len / sizeof *acks, released = 0, text = 0, lines = 0;
    for (; released < count && acks[released].after <= in_flight->first; released++) {
        const struct held_ack *ack = &acks[released];
        in_flight->bytes -= sizeof *ack + ack->text_len;
        if (ack->text_len) {
            buffer_append(out, in_flight->ack_texts.data + text, ack->text_len);
            text += ack->text_len;
            lines++;
        } else {
            in_flight->ack_positions[ack->position].next = ack->next;
            in_flight->ack_positions[ack->position].has_moved = true;
        }
    }
    if (released == 0)
        return 0;
    buffer_consume(&in_flight->acks, released * sizeof *acks);
    buffer_consume(&in_flight->ack_texts, text);
    return lines + write_moved_positions(in_flight, out);
}
