/* event_id.h - the ids of events that bring none: common/uuid.h says how they are made. */
#ifndef PGSINK_EVENT_ID_H
#define PGSINK_EVENT_ID_H

#include "common/json_scan.h"
#include "common/uuid.h"

struct event_id_maker;

struct event_id_maker *event_id_maker_new(void);
void event_id_maker_free(struct event_id_maker *maker);

/* From the event's content and time. `time` may be NULL or no time at all: then there is none. */
struct uuid event_id_of_content(struct event_id_maker *maker, const struct json_value *payload,
                                const struct json_value *time);
/* From where the record stands: SHA-256 over "topic/partition/offset", and the record's time. */
struct uuid event_id_of_offset(struct event_id_maker *maker, struct slice topic, int32_t partition,
                               int64_t offset, int64_t timestamp_ms);

#endif
