#include "sqlstate.h"

#include <stddef.h>
#include <string.h>

/* The longest matching prefix decides. */
static const struct {
    const char *prefix;
    enum sqlstate_class class;
} classes[] = {
    {"08", SQLSTATE_TRANSIENT},    /* connection exception */
    {"21", SQLSTATE_DATA},         /* cardinality violation: one statement, one key twice */
    {"22", SQLSTATE_DATA},         /* data exception */
    {"23", SQLSTATE_DATA},         /* integrity constraint violation */
    {"23505", SQLSTATE_CONFLICT},  /* unique_violation */
    {"25006", SQLSTATE_TRANSIENT}, /* read_only_sql_transaction: a standby, until fail-over is done */
    {"28", SQLSTATE_SETUP},        /* invalid authorization */
    {"3D", SQLSTATE_SETUP},        /* no such database */
    {"3F", SQLSTATE_SETUP},        /* no such schema */
    {"40", SQLSTATE_TRANSIENT},    /* serialization failure, deadlock */
    {"42", SQLSTATE_SETUP},        /* no such table or column, no permission */
    {"44", SQLSTATE_DATA},         /* WITH CHECK OPTION violation */
    {"53", SQLSTATE_TRANSIENT},    /* disk full, out of memory, too many connections */
    {"54", SQLSTATE_DATA},         /* a value too long for its index row, for one */
    {"55000", SQLSTATE_SETUP},     /* a deferrable key cannot arbitrate ON CONFLICT, for one */
    {"55P03", SQLSTATE_TRANSIENT}, /* lock_not_available */
    {"57", SQLSTATE_TRANSIENT},    /* shutdown, cancelled by a timeout */
    {"58", SQLSTATE_TRANSIENT},    /* I/O error */
    {"0A", SQLSTATE_SETUP},        /* feature_not_supported: COPY into what takes none */
    {"P0001", SQLSTATE_DATA},      /* RAISE in a trigger */
};

enum sqlstate_class sqlstate_classify(const char *sqlstate)
{
    if (!sqlstate || !*sqlstate)
        return SQLSTATE_TRANSIENT;
    enum sqlstate_class class = SQLSTATE_UNKNOWN;
    size_t longest = 0;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        size_t len = strlen(classes[i].prefix);
        if (len > longest && strncmp(sqlstate, classes[i].prefix, len) == 0) {
            longest = len;
            class = classes[i].class;
        }
    }
    return class;
}

int sqlstate_is_permission(const char *sqlstate)
{
    return strncmp(sqlstate, "28", 2) == 0 || strcmp(sqlstate, "42501") == 0;
}

bool sqlstate_is_of_rows(enum sqlstate_class class)
{
    return class == SQLSTATE_DATA || class == SQLSTATE_CONFLICT;
}
