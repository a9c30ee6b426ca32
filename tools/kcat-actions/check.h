/* check.h - kcat-actions --check: whether the topics could be read and the group be used. Nothing is read,
 * committed or joined, so it may be run beside pipelines that work. */
#ifndef KCAT_ACTIONS_CHECK_H
#define KCAT_ACTIONS_CHECK_H

#include "consumer.h"

/* Tells on stdout what it finds; returns the exit status. Takes `config` over. */
int check_run(const struct consumer_options *options, struct kafka_config *config);

#endif
