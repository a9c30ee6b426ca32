/* options.h - what every tool's command line has, and values with units.
 *
 * A tool puts `common_argp` among its argp children and gives its struct common_options as that child's
 * input (state->child_inputs). The options: -v/--verbose, -q/--quiet, --stats FILE (default
 * $AGENT_ACTIONS_STATS). --help, --usage and --version are argp's own.
 */
#ifndef COMMON_OPTIONS_H
#define COMMON_OPTIONS_H

#include "common/log.h"

#include <argp.h>

struct common_options {
    int verbosity;          /* how often -v less how often -q */
    const char *stats_file; /* NULL: none */
};

extern const struct argp common_argp;

/* Ends with 74 where stdin or stdout is closed. Readies argp: usage errors exit with 64 (EX_USAGE), --version
 * prints "TOOL (agent-actions) VERSION". */
void options_init(void);
/* The log as the environment and -v, -q want it, and the default of --stats. */
void options_apply(struct common_options *options, struct log *log, const char *tool);

/* "250", "250ms", "1s", "2m", "1h" to microseconds; a bare number counts in `unit_us`. */
bool parse_duration(const char *text, int64_t unit_us, int64_t *microseconds);
/* "4096", "64K", "64KiB", "1M", "1G" (powers of 1024) to bytes. */
bool parse_size(const char *text, int64_t *bytes);
bool parse_count(const char *text, int64_t low, int64_t high, int64_t *count);

/* The same for an option of argp: ends with a usage error that names the option. */
int64_t option_duration(const struct argp_state *state, const char *option, const char *text,
                        int64_t unit_us);
int64_t option_size(const struct argp_state *state, const char *option, const char *text);
int64_t option_count(const struct argp_state *state, const char *option, const char *text, int64_t low,
                     int64_t high);

#endif
