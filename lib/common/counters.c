#include "common/counters.h"

#include "common/memory.h"
#include "common/timestamp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define INFO(name, kind, tool, help) {#name, help, KIND_##kind, TOOL_##tool},
const struct counter_info counter_info[COUNTER_COUNT] = {COUNTER_TABLE(INFO)};
#undef INFO
#define INFO(name, tool, help) {#name, help, TOOL_##tool},
const struct histogram_info histogram_info[HISTOGRAM_COUNT] = {HISTOGRAM_TABLE(INFO)};
#undef INFO
const char *const tool_names[TOOL_COUNT] = {"", "kcat-actions", "batch", "pgsink", "dlq"};

const int64_t histogram_bounds[HISTOGRAM_BOUNDS] = {500,     1000,     2500,     5000,    10000,   25000,
                                                    50000,   100000,   250000,   500000,  1000000, 2500000,
                                                    5000000, 10000000, 30000000, 60000000};

/* The directory says whose the slots are, so that looking for one touches no other slot's pages. */
struct stats_header {
    char magic[16];
    uint64_t layout; /* differs when the tables of counters do */
    struct {
        _Atomic uint32_t tool;
        _Atomic uint32_t pipeline;
    } directory[STATS_SLOTS];
};

struct stats_map {
    struct stats_header header;
    struct stats_slot slots[STATS_SLOTS];
};

struct stats_file {
    int fd;
    const struct stats_map *map;
};

static const char magic[16] = "agent-actions 1";

/* FNV-1a (Fowler, Noll, Vo) over all names and the size. */
static uint64_t layout_hash(void)
{
    uint64_t hash = 14695981039346656037u ^ sizeof(struct stats_map);
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        for (const char *at = counter_info[i].name; *at; at++)
            hash = (hash ^ (unsigned char)*at) * 1099511628211u;
    return hash;
}

/* The byte of the file whose lock means 'slot `index` is in use', and the one that guards the search. */
#define SEARCH_LOCK STATS_SLOTS

static bool lock_byte(int fd, size_t byte, int command)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    while (fcntl(fd, command, &lock) < 0)
        if (errno != EINTR)
            return false;
    return command != F_OFD_GETLK || lock.l_type != F_UNLCK;
}

static void unlock_byte(int fd, size_t byte)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    fcntl(fd, F_OFD_SETLK, &lock);
}

static bool has_our_layout(const struct stats_map *map)
{
    return memcmp(map->header.magic, magic, sizeof magic) == 0 && map->header.layout == layout_hash();
}

/* An untouched file becomes a table of unused slots. Called with the search locked. */
static struct stats_map *map_for_writing(int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return NULL;
    bool is_new = status.st_size == 0;
    /* Allocated now: a full disk is an error here, and would be a SIGBUS later. */
    if (is_new && (errno = posix_fallocate(fd, 0, sizeof(struct stats_map))) != 0) {
        int reason = errno;
        if (ftruncate(fd, 0) < 0)
            reason = errno;
        errno = reason;
        return NULL;
    }
    if (!is_new && status.st_size != sizeof(struct stats_map)) {
        errno = EINVAL;
        return NULL;
    }
    struct stats_map *map = mmap(NULL, sizeof *map, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return NULL;
    /* Unmarked: new, or its maker was killed right here. The magic is written last. */
    static const char unmarked[sizeof magic];
    if (memcmp(map->header.magic, unmarked, sizeof magic) == 0) {
        map->header.layout = layout_hash();
        memcpy(map->header.magic, magic, sizeof magic);
    }
    if (has_our_layout(map))
        return map;
    munmap(map, sizeof *map);
    errno = EINVAL;
    return NULL;
}

/* The slot of this tool and pipeline whose process is gone, else an unused one, else any dead one. */
static struct stats_slot *claim(struct stats_map *map, int fd, enum tool tool, uint32_t pipeline)
{
    for (int pass = 0; pass < 3; pass++)
        for (size_t i = 0; i < STATS_SLOTS; i++) {
            struct stats_slot *slot = &map->slots[i];
            uint32_t owner = map->header.directory[i].tool;
            bool fits = pass == 0   ? owner == (uint32_t)tool && map->header.directory[i].pipeline == pipeline
                        : pass == 1 ? owner == TOOL_NONE
                                    : true;
            if (!fits || !lock_byte(fd, i, F_OFD_SETLK))
                continue;
            if (pass > 0)
                memset(slot, 0, sizeof *slot);
            slot->pipeline = pipeline;
            slot->tool = (uint32_t)tool;
            map->header.directory[i].pipeline = pipeline;
            map->header.directory[i].tool = (uint32_t)tool;
            return slot;
        }
    errno = ENOSPC;
    return NULL;
}

uint32_t stats_pipeline(void)
{
    const char *text = getenv("AGENT_ACTIONS_PIPELINE");
    return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

static struct stats_slot *attach(const char *path, enum tool tool)
{
    /* The descriptor stays open for the life of the process: its lock says that we live. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return NULL;
    struct stats_slot *slot = NULL;
    if (lock_byte(fd, SEARCH_LOCK, F_OFD_SETLKW)) {
        struct stats_map *map = map_for_writing(fd);
        if (map)
            slot = claim(map, fd, tool, stats_pipeline());
    }
    int reason = errno;
    unlock_byte(fd, SEARCH_LOCK);
    if (!slot)
        close(fd);
    errno = reason;
    return slot;
}

struct stats_slot *stats_attach(const char *path, enum tool tool, char **error)
{
    struct stats_slot *slot = path ? attach(path, tool) : NULL;
    *error = NULL;
    if (path && !slot)
        *error = xasprintf("could not use the shared counters in %s: %s; counting for nobody", path,
                           errno == EINVAL ? "the file is of another version, remove it" : strerror(errno));
    if (!slot) {
        slot = mmap(NULL, sizeof *slot, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (slot == MAP_FAILED)
            slot = xcalloc(1, sizeof *slot); /* says what is wrong, and ends */
        slot->tool = (uint32_t)tool;
    }
    slot->pid = getpid();
    slot->started = now_microseconds();
    slot->starts++;
    stats_heartbeat(slot);
    return slot;
}

struct stats_file *stats_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct stat status;
    void *map = MAP_FAILED;
    if (fstat(fd, &status) == 0) {
        if (status.st_size == sizeof(struct stats_map))
            map = mmap(NULL, sizeof(struct stats_map), PROT_READ, MAP_SHARED, fd, 0);
        else
            errno = EINVAL;
    }
    if (map != MAP_FAILED && !has_our_layout(map)) {
        munmap(map, sizeof(struct stats_map));
        map = MAP_FAILED;
        errno = EINVAL;
    }
    if (map == MAP_FAILED) {
        int reason = errno;
        close(fd);
        errno = reason;
        return NULL;
    }
    struct stats_file *file = xmalloc(sizeof *file);
    *file = (struct stats_file){fd, map};
    return file;
}

void stats_close(struct stats_file *file)
{
    if (!file)
        return;
    munmap((void *)(uintptr_t)file->map, sizeof *file->map);
    close(file->fd);
    free(file);
}

const struct stats_slot *stats_slot(const struct stats_file *file, size_t index)
{
    static const struct stats_slot unused;
    return file->map->header.directory[index].tool == TOOL_NONE ? &unused : &file->map->slots[index];
}

bool stats_is_alive(const struct stats_file *file, size_t index)
{
    return lock_byte(file->fd, index, F_OFD_GETLK);
}

const struct stats_slot *stats_find(const struct stats_file *file, enum tool tool, uint32_t pipeline)
{
    for (size_t i = 0; i < STATS_SLOTS; i++)
        if (file->map->header.directory[i].tool == (uint32_t)tool &&
            file->map->header.directory[i].pipeline == pipeline)
            return &file->map->slots[i];
    return NULL;
}

void stats_observe(struct stats_slot *slot, enum histogram histogram, int64_t microseconds, uint64_t count)
{
    struct stats_histogram *h = &slot->histograms[histogram];
    size_t i = 0;
    if (microseconds < 0)
        microseconds = 0; /* clocks of two machines differ */
    while (i < HISTOGRAM_BOUNDS && microseconds > histogram_bounds[i])
        i++;
    atomic_store_explicit(&h->buckets[i], atomic_load_explicit(&h->buckets[i], memory_order_relaxed) + count,
                          memory_order_relaxed);
    atomic_store_explicit(
        &h->sum, atomic_load_explicit(&h->sum, memory_order_relaxed) + (uint64_t)microseconds * count,
        memory_order_relaxed);
}

void stats_heartbeat(struct stats_slot *slot)
{
    atomic_store_explicit(&slot->heartbeat, now_microseconds(), memory_order_relaxed);
}

struct stats_partition *stats_partition(struct stats_slot *slot, const char *topic, int32_t partition)
{
    uint32_t count = slot->partition_count;
    for (uint32_t i = 0; i < count; i++)
        if (slot->partitions[i].partition == partition && strcmp(slot->partitions[i].topic, topic) == 0)
            return &slot->partitions[i];
    if (count == STATS_PARTITIONS || strlen(topic) >= sizeof slot->partitions->topic)
        return NULL;
    struct stats_partition *entry = &slot->partitions[count];
    strcpy(entry->topic, topic);
    entry->partition = partition;
    entry->committed = entry->position = entry->high_watermark = -1;
    atomic_store_explicit(&slot->partition_count, count + 1, memory_order_release);
    return entry;
}
