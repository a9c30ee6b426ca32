/* arguments.h - the command line of kcat-actions. */
#ifndef KCAT_ACTIONS_ARGUMENTS_H
#define KCAT_ACTIONS_ARGUMENTS_H

#include "common/options.h"
#include "consumer.h"

struct arguments {
    struct common_options common;
    struct consumer_options consumer;
    struct kafka_config kafka;
    const char *select;
    bool is_check;
    const char **settings; /* -X and -F, in order; applied behind our defaults */
    bool *setting_is_file;
    size_t setting_count;
};

/* Parses into a struct arguments whose defaults are set and whose `kafka` is ready (kafka_config_init). Ends
 * with a usage error where options do not fit each other. */
extern const struct argp arguments_argp;

#endif
