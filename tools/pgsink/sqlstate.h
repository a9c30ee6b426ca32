/* sqlstate.h - what PostgreSQL's error codes mean for a batch.
 * Source: PostgreSQL documentation, appendix A, "PostgreSQL Error Codes". */
#ifndef PGSINK_SQLSTATE_H
#define PGSINK_SQLSTATE_H

#include <stdbool.h>

enum sqlstate_class {
    SQLSTATE_TRANSIENT, /* infrastructure: the same batch will go in later */
    SQLSTATE_DATA,      /* a row cannot be stored as it is */
    SQLSTATE_CONFLICT,  /* a row's key is there already */
    SQLSTATE_SETUP,     /* somebody must mend the table, the rights or our options */
    SQLSTATE_UNKNOWN,
};

/* NULL or empty: the connection was lost, which is transient. */
enum sqlstate_class sqlstate_classify(const char *sqlstate);
/* For SQLSTATE_SETUP: whether it is about rights or passwords (EX_NOPERM), not about objects (EX_CONFIG). */
int sqlstate_is_permission(const char *sqlstate);

/* Whether the fault is a row's, not the server's or the set-up's. */
bool sqlstate_is_of_rows(enum sqlstate_class class);

#endif
