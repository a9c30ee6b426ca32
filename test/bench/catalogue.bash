# catalogue.bash - what is measured. Sourced by run.
# shellcheck shell=bash disable=SC2034 # used by those who source it

# NAME|TITLE|UNIT: unit is events, bytes or seconds
SECTIONS=(
    'own-ids|File to an empty table, events with random ids of their own|events'
    'derived-ids|File to an empty table, events without ids: derived, ordered by time|events'
    'text-path|File to an empty table with an interval column, which has no binary encoder|events'
    'duplicates|Replay: all rows are in the table already|events'
    'poison|1 % of the events cannot be stored, or half (the peer is ourselves without them)|events'
    'read|Kafka to /dev/null as JSON envelopes|events'
    'read-pipe|Kafka to a pipe as JSON envelopes (wc -l)|events'
    'batch|A blank line after each 1000 lines, file to /dev/null|bytes'
    'pipeline|Kafka with a waiting backlog to an empty table, offsets committed|events'
    'pipeline-derived|The same, events without ids|events'
    'peers|Other ways from Kafka to the table|events'
    'empty|Kafka with nothing waiting: from the start to the end|seconds'
)

# SECTION|CONTENDER|DATA|TABLE|TITLE: the first one of a section is what the others are compared with. DATA is
# the name of the files and the topic that it reads; TABLE is - where it writes none.
CONTENDERS=(
    'own-ids|copy|own|agent_actions|psql \copy of ready-made rows'
    'own-ids|pgsink|own|agent_actions|pgsink'
    'own-ids|batch_pgsink|own|agent_actions|batch -n 1000 | pgsink'
    'derived-ids|copy|derived|agent_actions|psql \copy of ready-made rows'
    'derived-ids|pgsink|derived|agent_actions|pgsink'
    'derived-ids|batch_pgsink|derived|agent_actions|batch -n 1000 | pgsink'
    'text-path|copy|text|text_path|psql \copy of ready-made rows'
    'text-path|pgsink|own|text_path|pgsink'
    'duplicates|copy_stage|own|replayed|psql \copy to a stage, INSERT ON CONFLICT'
    'duplicates|pgsink|own|replayed|pgsink'
    'poison|pgsink|own|agent_actions|pgsink, no poison'
    'poison|pgsink_poison|poison|agent_actions|pgsink, 1 %'
    'poison|pgsink_refused|refused|agent_actions|pgsink, half of them refused by the server'
    'read|kcat|own|-|kcat -J -e -q'
    'read|kcat_actions|own|-|kcat-actions -e'
    'read-pipe|kcat_wc|own|-|kcat -J -e -q'
    'read-pipe|kcat_actions_wc|own|-|kcat-actions -e'
    'batch|sed|own|-|sed 0~1000G'
    'batch|batch|own|-|batch -n 1000'
    'pipeline|copy|own|agent_actions|psql \copy of ready-made rows'
    'pipeline|pipeline_1000|own|agent_actions|one pipeline, batch -n 1000'
    'pipeline|pipeline_100|own|agent_actions|one pipeline, batch -n 100 -t 1000ms'
    'pipeline|two_pipelines|own|agent_actions|two pipelines in the group, batch -n 1000'
    'pipeline|two_fixed_pipelines|own|agent_actions|two pipelines, two partitions each by -p'
    'pipeline-derived|copy|derived|agent_actions|psql \copy of ready-made rows'
    'pipeline-derived|pipeline_1000|derived|agent_actions|one pipeline, batch -n 1000'
    'pipeline-derived|two_fixed_pipelines|derived|agent_actions|two pipelines, two partitions each by -p'
    'peers|kcat_jq_psql|own|agent_actions|kcat | jq | psql \copy, no guarantee'
    'peers|pipeline_1000|own|agent_actions|one pipeline, batch -n 1000'
    'peers|python|own|agent_actions|plain Python consumer, batches of 100'
    'empty|kcat_jq_psql|empty|agent_actions|kcat | jq | psql \copy'
    'empty|pipeline_1000|empty|agent_actions|one pipeline'
    'empty|two_pipelines|empty|agent_actions|two pipelines in the group'
    'empty|two_fixed_pipelines|empty|agent_actions|two pipelines, two partitions each by -p'
)

SECTION_NAMES=("${SECTIONS[@]%%|*}")

is_section() { # NAME
    [[ " ${SECTION_NAMES[*]} " == *" $1 "* ]]
}
