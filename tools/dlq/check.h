/* check.h - dlq --check: whether the topic of the dead letters is there, or would be made. Nothing is
 * published and nothing made; whether this user may write shows with the first dead letter alone. */
#ifndef DLQ_CHECK_H
#define DLQ_CHECK_H

#include "common/kafka_config.h"

/* Tells on stdout what it finds; returns the exit status. Takes `config` over. */
int check_run(const char *topic, struct kafka_config *config);

#endif
