/* in_flight.h - what has been read and is not yet safe, and the acks that wait for it.
 *
 * Each message to be published or written gets a sequence number, in the order of reading. An ack is held
 * until every message before it is confirmed; acks come out in the order they went in.
 */
#ifndef DLQ_IN_FLIGHT_H
#define DLQ_IN_FLIGHT_H

#include "common/line_format.h"

struct delivery {
    char *line; /* the line it came from, owned; NULL where nobody needs it */
    size_t line_len;
    size_t bytes;         /* what it counts for in in_flight.bytes */
    uint64_t line_number; /* in the input, from 1 */
    unsigned form;        /* the owner's own: which form of the message was sent */
    bool is_confirmed;
};

struct in_flight {
    struct delivery *ring; /* of `capacity`, a power of two; indexed by sequence number */
    size_t capacity;
    uint64_t first; /* every message below it is confirmed */
    uint64_t next;  /* of the next message */
    size_t bytes;   /* of deliveries not confirmed and of acks held */
    uint64_t confirmed;

    struct buffer acks;                 /* of struct held_ack */
    struct buffer ack_texts;            /* of those acks that are passed on as they came */
    struct ack_position *ack_positions; /* of those that are made here */
    size_t ack_position_count;
};

void in_flight_free(struct in_flight *in_flight);

/* Enters a message, whose line becomes owned here; returns its sequence number. */
uint64_t in_flight_add(struct in_flight *in_flight, struct delivery delivery);
/* A message that is in flight. The pointer is good until the next in_flight_add(). */
struct delivery *in_flight_get(struct in_flight *in_flight, uint64_t sequence);
void in_flight_confirm(struct in_flight *in_flight, uint64_t sequence);

/* Holds an ack line, as it is, behind the messages entered so far. */
void in_flight_hold_ack(struct in_flight *in_flight, struct slice line);
/* Holds the position behind a record: one ack for each partition comes of those that are released at once. */
void in_flight_hold_position(struct in_flight *in_flight, struct slice topic, int32_t partition,
                             int64_t next);
/* Appends the acks that need not wait any more to `out`, with LF; returns how many lines. */
size_t in_flight_release_acks(struct in_flight *in_flight, struct buffer *out);

/* The span of messages from the oldest that is not confirmed. */
static inline uint64_t in_flight_count(const struct in_flight *in_flight)
{
    return in_flight->next - in_flight->first;
}
static inline bool in_flight_is_empty(const struct in_flight *in_flight)
{
    return in_flight->next == in_flight->first && in_flight->acks.len == 0;
}

#endif
