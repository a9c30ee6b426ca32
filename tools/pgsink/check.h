/* check.h - pgsink --check: whether the database can be reached, and the table takes events from this user.
 * What is tried is rolled back. */
#ifndef PGSINK_CHECK_H
#define PGSINK_CHECK_H

#include "sink.h"

/* Tells on stdout what it finds; returns the exit status. */
int check_run(const struct sink_options *options);

#endif
