#include "tracker.h"

#include "common/memory.h"

#include <string.h>

struct tracked_partition *tracker_get(struct tracker *tracker, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < tracker->count; i++) {
        size_t at = (tracker->last + i) % tracker->count;
        struct tracked_partition *entry = &tracker->partitions[at];
        if (entry->partition == partition && strcmp(entry->topic, topic) == 0) {
            tracker->last = at;
            return entry;
        }
    }
    tracker->partitions = xreallocarray(tracker->partitions, tracker->count + 1, sizeof *tracker->partitions);
    struct tracked_partition *entry = &tracker->partitions[tracker->count++];
    *entry = (struct tracked_partition){.topic = xstrdup(topic),
                                        .partition = partition,
                                        .position = -1,
                                        .stored = -1,
                                        .confirmed = -1,
                                        .stop_offset = -1};
    return entry;
}

static const struct flight *front(const struct tracked_partition *partition)
{
    return &partition->ring[partition->first & (partition->capacity - 1)];
}

static void pop(struct tracker *tracker, struct tracked_partition *partition)
{
    tracker->bytes_in_flight -= front(partition)->bytes;
    tracker->records_in_flight--;
    partition->first++;
    partition->count--;
}

void tracker_reset(struct tracker *tracker, struct tracked_partition *partition)
{
    while (partition->count)
        pop(tracker, partition);
    partition->position = partition->stored = partition->confirmed = -1;
    partition->is_at_end = false;
}

static void grow(struct tracked_partition *partition)
{
    size_t capacity = partition->capacity ? partition->capacity * 2 : 1024;
    struct flight *ring = xreallocarray(NULL, capacity, sizeof *ring);
    for (size_t i = 0; i < partition->count; i++)
        ring[i] = partition->ring[(partition->first + i) & (partition->capacity - 1)];
    free(partition->ring);
    partition->ring = ring;
    partition->capacity = capacity;
    partition->first = 0;
}

void tracker_pass_on(struct tracker *tracker, struct tracked_partition *partition, int64_t offset,
                     size_t bytes)
{
    if (partition->count == partition->capacity)
        grow(partition);
    uint32_t counted = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
    partition->ring[(partition->first + partition->count++) & (partition->capacity - 1)] =
        (struct flight){offset, counted};
    partition->position = offset + 1;
    tracker->records_in_flight++;
    tracker->bytes_in_flight += counted;
}

void tracker_leave_out(struct tracked_partition *partition, int64_t offset)
{
    partition->position = offset + 1;
}

size_t tracker_acknowledge(struct tracker *tracker, struct tracked_partition *partition, int64_t next)
{
    size_t before = partition->count;
    while (partition->count && front(partition)->offset < next)
        pop(tracker, partition);
    return before - partition->count;
}

int64_t tracker_safe_offset(const struct tracked_partition *partition)
{
    return partition->count ? front(partition)->offset : partition->position;
}

void tracker_free(struct tracker *tracker)
{
    for (size_t i = 0; i < tracker->count; i++) {
        free(tracker->partitions[i].topic);
        free(tracker->partitions[i].ring);
    }
    free(tracker->partitions);
    *tracker = (struct tracker){0};
}
