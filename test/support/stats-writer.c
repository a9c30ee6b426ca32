/* stats-writer - plays a tool of a pipeline for the tests of healthd: takes a slot in a file of shared
 * counters, sets what it is told, and keeps the slot until it is killed.
 *
 *     AGENT_ACTIONS_PIPELINE=0 stats-writer FILE TOOL [SETTING...]
 *
 * A SETTING is one of
 *     NAME=VALUE                     a counter; -75s for a time counts from now
 *     heartbeat=-45s                 the heartbeat
 *     started=-100s                  when the process started
 *     batch_duration=MICROSECONDS*N  N observations (any histogram)
 *     TOPIC/PARTITION=COMMITTED,POSITION,HIGH_WATERMARK   a partition that it reads
 *     TOPIC/PARTITION=-              a partition that it no longer reads
 * Then it prints "ready". More settings may come on standard input, one a line; each is answered with "ok".
 */
#include "common/counters.h"
#include "common/memory.h"
#include "common/options.h"
#include "common/timestamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static enum tool tool_of(const char *name)
{
    for (enum tool tool = TOOL_NONE + 1; tool < TOOL_COUNT; tool++)
        if (strcmp(name, tool_names[tool]) == 0)
            return tool;
    return TOOL_NONE;
}

/* A number, or a time as far back as "-75s" says. */
static bool parse_value(const char *text, int64_t *value)
{
    int64_t ago;
    if (*text == '-' && parse_duration(text + 1, 1000000, &ago)) {
        *value = now_microseconds() - ago;
        return true;
    }
    return parse_count(text, 0, INT64_MAX, value);
}

static bool set_partition(struct stats_slot *slot, const char *name, const char *value)
{
    char topic[250];
    int32_t number;
    int64_t committed, position, high_watermark;
    if (sscanf(name, "%249[^/]/%" SCNd32, topic, &number) != 2)
        return false;
    struct stats_partition *partition = stats_partition(slot, topic, number);
    if (!partition)
        return false;
    partition->is_assigned = strcmp(value, "-") != 0;
    if (!partition->is_assigned)
        return true;
    if (sscanf(value, "%" SCNd64 ",%" SCNd64 ",%" SCNd64, &committed, &position, &high_watermark) != 3)
        return false;
    partition->committed = committed;
    partition->position = position;
    partition->high_watermark = high_watermark;
    return true;
}

static bool set_histogram(struct stats_slot *slot, const char *name, const char *value)
{
    int64_t microseconds;
    uint64_t count;
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++)
        if (strcmp(name, histogram_info[i].name) == 0 &&
            sscanf(value, "%" SCNd64 "*%" SCNu64, &microseconds, &count) == 2) {
            stats_observe(slot, (enum histogram)i, microseconds, count);
            return true;
        }
    return false;
}

static bool set_number(struct stats_slot *slot, const char *name, const char *text)
{
    int64_t value;
    if (!parse_value(text, &value))
        return false;
    if (strcmp(name, "heartbeat") == 0)
        slot->heartbeat = value;
    else if (strcmp(name, "started") == 0)
        slot->started = value;
    else {
        for (size_t i = 0; i < COUNTER_COUNT; i++)
            if (strcmp(name, counter_info[i].name) == 0) {
                stats_set(slot, (enum counter)i, (uint64_t)value);
                return true;
            }
        return false;
    }
    return true;
}

static void apply(struct stats_slot *slot, char *setting)
{
    char *value = strchr(setting, '=');
    if (value) {
        *value++ = '\0';
        if (strchr(setting, '/') ? set_partition(slot, setting, value)
                                 : set_histogram(slot, setting, value) || set_number(slot, setting, value))
            return;
    }
    fprintf(stderr, "stats-writer: cannot set \"%s\" to \"%s\"\n", setting, value ? value : "");
    exit(EX_USAGE);
}

int main(int argc, char **argv)
{
    enum tool tool = argc > 2 ? tool_of(argv[2]) : TOOL_NONE;
    char *error;
    if (tool == TOOL_NONE) {
        fprintf(stderr, "usage: stats-writer FILE TOOL [SETTING...]\n");
        return EX_USAGE;
    }
    struct stats_slot *slot = stats_attach(argv[1], tool, &error);
    if (error) {
        fprintf(stderr, "stats-writer: %s\n", error);
        free(error);
        return EX_CANTCREAT;
    }
    for (int i = 3; i < argc; i++)
        apply(slot, argv[i]);
    puts("ready");
    fflush(stdout);
    char line[512];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        apply(slot, line);
        puts("ok");
        fflush(stdout);
    }
    for (;;)
        pause();
}
