# events.awk - events of the fault campaign: KEY, a tab, PAYLOAD, a line each, numbered from `first` to `last`.
#
#   awk -v first=1 -v last=500 -v seed=7 -v poison=1 -v now=2026-11-23T18:00:00 -f events.awk
#
# Each carries the name serial-NUMBER-KIND. KIND is `good`, or for `poison` percent of them the way in which
# the event cannot be stored: it is no JSON, no object, no event, or the table refuses it. A number has the
# same kind whenever it is asked for.

# (Lehmer's generator, as in test/support/events: the awks' own differ.)
function random() {
    state = (state * 16807) % 2147483647
    return state / 2147483647
}

function hex(digits,    text) {
    text = ""
    while (length(text) < digits)
        text = text sprintf("%04x", int(random() * 65536))
    return substr(text, 1, digits)
}

function event(name, agent) {
    return "{\"correlation_id\":\"" hex(8) "-0000-4000-8000-" hex(12) "\",\"agent_name\":" agent \
           ",\"action_type\":\"tool_call\",\"action_name\":\"" name "\",\"action_details\":{\"note\":\"" hex(80) \
           "\"},\"debug_mode\":true,\"duration_ms\":" int(random() * 3000) ",\"timestamp\":\"" now "." \
           sprintf("%03d", serial % 1000) "Z\"}"
}

function spoiled(kind, name,    text) {
    text = event(name, kind == "noname" ? "null" : kind == "long" ? "\"" hex(9000) "\"" : "\"agent\"")
    if (kind == "text") return "no json " name
    if (kind == "bytes") return name " \377\376"
    if (kind == "scalar") return "\"" name "\""
    if (kind == "array") return "[" text "]"
    if (kind == "cut") return substr(text, 1, length(text) - 20)
    if (kind == "nul") sub(/"note":"/, "&\\u0000", text)
    if (kind == "type") sub(/tool_call/, "dance", text)
    if (kind == "uuid") sub(/"correlation_id":"/, "&no-uuid-", text)
    if (kind == "duration") sub(/"duration_ms":/, "&9999999999", text)
    if (kind == "time") sub(/"timestamp":"/, "&tomorrow-", text)
    return kind == "tombstone" ? "" : text
}

BEGIN {
    kinds = split("text bytes scalar array cut nul type uuid duration time noname long tombstone", kind, " ")
    for (serial = first; serial <= last; serial++) {
        # Squared, or nearly, since a linear generator's neighbours are too much alike.
        state = (seed * 1000003 + serial * 7919) % 2147483647
        state = state * (state % 99991 + 1) % 2147483646 + 1
        for (i = 0; i < 12; i++) random()
        what = random() * 100 < poison ? kind[int(random() * kinds) + 1] : "good"
        name = "serial-" serial "-" what
        # A tombstone has nothing but its key to tell it by.
        key = what == "tombstone" ? name : "key-" int(random() * 500)
        print key "\t" (what == "good" ? event(name, "\"agent-" int(random() * 7) "\"") : spoiled(what, name))
    }
}
