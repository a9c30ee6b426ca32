/* page_status.c - the banner: the state in a word, what was found, and what to do about it. */
#include "page.h"

#include "html.h"
#include "text.h"

/* The state in a word, for the banner's colour, its sign and the title. */
struct state {
    const char *name, *word, *sign;
};

static struct state page_state(const struct verdict *verdict)
{
    if (!verdict->is_healthy)
        return (struct state){"bad", "Unhealthy", "M6 6l12 12M18 6L6 18"};
    if (verdict->is_draining)
        return (struct state){"drain", "Draining", "M12 4v14M6 12l6 6 6-6"};
    if (verdict->count)
        return (struct state){"warn", "Running, with warnings", "M12 4v11M12 19v1"};
    return (struct state){"good", "Healthy", "M5 13l5 5 9-11"};
}

/* What stands between backquotes is a command. */
static void write_cure(struct buffer *out, const char *text)
{
    bool is_command = false;
    for (const char *end; (end = strchr(text, '`')); text = end + 1, is_command = !is_command) {
        html_escaped(out, slice_of(text, (size_t)(end - text)));
        buffer_append_string(out, is_command ? "</code>" : "<code>");
    }
    html_escaped(out, slice_of_string(text));
}

/* Faults before warnings; what to do stands below the last finding that it is for. */
static void write_findings(struct buffer *out, const struct verdict *verdict, bool are_faults)
{
    for (size_t i = 0; i < verdict->count; i++) {
        const struct finding *finding = &verdict->findings[i];
        if (finding->is_fault != are_faults)
            continue;
        text_format(out, "<li class=\"%s\"><b>", are_faults ? "fault" : "warning");
        html_escaped(out, slice_of_string(finding->text));
        buffer_append_string(out, "</b>");
        const struct finding *next = i + 1 < verdict->count ? finding + 1 : NULL;
        if (!next || next->cure != finding->cure) {
            buffer_append_string(out, "<p>");
            write_cure(out, finding->cure);
            buffer_append_string(out, "</p>");
        }
        buffer_append_string(out, "</li>\n");
    }
}

void page_write_status(struct buffer *out, const struct monitor *monitor, const struct verdict *verdict)
{
    struct state state = page_state(verdict);
    text_format(out,
                "<div class=\"banner %s\" data-word=\"%s\"><p class=\"state\"><svg viewBox=\"0 0 24 24\" "
                "aria-hidden=\"true\"><path d=\"%s\"/></svg>%s",
                state.name, state.word, state.sign, state.word);
    text_format(out, "<span>%u of %zu pipelines running</span></p>\n", verdict->pipelines_running,
                monitor->has_snapshot ? monitor->snapshot.pipeline_count : 0);
    if (verdict->count) {
        buffer_append_string(out, "<ul>");
        write_findings(out, verdict, true);
        write_findings(out, verdict, false);
        buffer_append_string(out, "</ul>");
    }
    buffer_append_string(out, "</div>");
}
