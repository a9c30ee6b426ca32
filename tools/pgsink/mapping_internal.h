/* mapping_internal.h - the mapping as mapping.c makes it and row.c uses it. */
#ifndef PGSINK_MAPPING_INTERNAL_H
#define PGSINK_MAPPING_INTERNAL_H

#include "event_id.h"
#include "mapping.h"

enum source_kind {
    SOURCE_MEMBER,  /* a member, or a value within it */
    SOURCE_PROGRAM, /* a jq program's output */
    SOURCE_UNKNOWN, /* the members that no column takes */
};

struct source {
    enum source_kind kind;
    char *text; /* as described: the member's name, the path or the program */
    char *rest; /* of a dotted path, behind the first name; NULL: the member itself */
    int name;   /* index into names, of SOURCE_MEMBER */
    int next;   /* the next column that the same member fills, or -1 */
    struct jq_program *program;
    struct buffer output; /* the program's, or the members gathered */
    struct json_value value;
};

/* A member's name that some column wants. */
struct wanted {
    char *text;
    size_t len;
    int first_column; /* -1: none, it only tells the time */
};

/* How many members' places are remembered. */
#define GUESSES 64

struct mapping {
    const struct table *table;
    struct mapping_options options;
    struct source *sources; /* one for each column of the table */
    struct wanted *names;
    size_t name_count;
    int guesses[GUESSES];
    size_t *active;
    size_t active_count;
    bool *is_active;
    enum field_format format;
    int id_column;                    /* filled by derived ids, or -1 */
    int time_column;                  /* created_at, or -1 */
    int time_name;                    /* in names: tells the event's time where created_at does not */
    int unknown_column;               /* or -1 */
    const struct json_value **values; /* of the row in the making, one for each column */
    struct event_id_maker *ids;
};

/* Index into names, or -1. */
int mapping_find_name(const struct mapping *mapping, struct slice name);
/* Puts a column behind those that are filled already. */
void mapping_activate(struct mapping *mapping, size_t column);

#endif
