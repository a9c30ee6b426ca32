/* source.h - the file of shared counters, followed by name.
 *
 * The file may not exist yet, and another may take its place at any time: a supervisor that starts anew
 * makes a new one. While the name is gone the file that was open stays in use, since the tools that have
 * it go on counting there.
 */
#ifndef HEALTHD_SOURCE_H
#define HEALTHD_SOURCE_H

#include "common/counters.h"

#include <sys/stat.h>

struct stats_source {
    const char *path;        /* the caller's */
    struct stats_file *file; /* NULL: there is none to read */
    int error;               /* errno of the last attempt while file is NULL; ENOENT: not there yet */
    struct stat opened;      /* of the open file */
};

void source_init(struct stats_source *source, const char *path);
void source_close(struct stats_source *source);
/* Opens the file, or the one that took its place. Call it before each use of `file`: a mapped file that
 * somebody has cut short must not be touched. Pointers into an earlier file die. */
void source_refresh(struct stats_source *source);
/* Why there is no file to read, as a sentence for people; static text. */
const char *source_fault(const struct stats_source *source);

#endif
