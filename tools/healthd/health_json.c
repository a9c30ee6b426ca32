/* health_json.c - a verdict as /health answers it. */
#include "health.h"

#include "common/json_write.h"

static const char *finding_text(const struct finding *finding)
{
    return finding->text;
}

static const char *finding_cure(const struct finding *finding)
{
    return finding->cure;
}

/* An array of the findings of one kind; nothing where there are none. */
static void write_findings(struct buffer *out, const char *member, const struct verdict *verdict,
                           bool are_faults, const char *(*part)(const struct finding *finding))
{
    bool is_open = false;
    for (size_t i = 0; i < verdict->count; i++) {
        if (verdict->findings[i].is_fault != are_faults)
            continue;
        if (!is_open) {
            json_member(out, member);
            json_open(out, '[');
            is_open = true;
        }
        json_item(out);
        json_write_string(out, slice_of_string(part(&verdict->findings[i])));
    }
    if (is_open)
        json_close(out, ']');
}

void verdict_write_json(struct buffer *out, const struct verdict *verdict)
{
    json_open(out, '{');
    json_member(out, "status");
    json_write_string(out, slice_of_string(verdict->is_healthy ? "healthy" : "unhealthy"));
    json_member(out, "consumer");
    json_write_string(out, slice_of_string(verdict->is_healthy ? "running" : "stopped"));
    write_findings(out, "reasons", verdict, true, finding_text);
    json_member(out, "consumer_processes");
    buffer_append_int(out, verdict->consumer_processes);
    json_member(out, "pipelines_running");
    buffer_append_int(out, verdict->pipelines_running);
    json_member(out, "draining");
    buffer_append_string(out, verdict->is_draining ? "true" : "false");
    write_findings(out, "warnings", verdict, false, finding_text);
    write_findings(out, "what_to_do", verdict, !verdict->is_healthy, finding_cure);
    json_close(out, '}');
    buffer_append_char(out, '\n');
}
