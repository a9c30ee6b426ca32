#include "source.h"

#include <errno.h>

void source_init(struct stats_source *source, const char *path)
{
    *source = (struct stats_source){.path = path, .error = ENOENT};
}

void source_close(struct stats_source *source)
{
    stats_close(source->file);
    source->file = NULL;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size;
}

void source_refresh(struct stats_source *source)
{
    struct stat now;
    if (stat(source->path, &now) < 0) {
        if (!source->file)
            source->error = errno;
        return;
    }
    if (source->file && is_same(&now, &source->opened))
        return;
    source_close(source);
    /* `now` is older than what stats_open sees. If the file was replaced in between, the next call finds
     * that the two differ, and opens again. */
    source->opened = now;
    source->file = stats_open(source->path);
    /* A file of no bytes is one that its first tool is about to fill. */
    source->error = source->file ? 0 : now.st_size == 0 ? ENOENT : errno;
}

const char *source_fault(const struct stats_source *source)
{
    switch (source->error) {
    case ENOENT:
    case ENOTDIR:
        return "no pipeline has started";
    case EINVAL:
        return "the file of counters is of another version of these tools: remove it, and restart them";
    default:
        return "the file of counters cannot be read";
    }
}
