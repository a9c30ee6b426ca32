# table.awk - the table of test/bench/run. First input: the catalogue's lines; second: the samples.

function number(n,    text, out) { # 43210 as 43,210
    text = sprintf("%d", n + 0.5)
    out = ""
    while (length(text) > 3) {
        out = "," substr(text, length(text) - 2) out
        text = substr(text, 1, length(text) - 3)
    }
    return text out
}

function show(value, unit) {
    return unit == "events" ? number(value) : sprintf("%.2f", value)
}

# Sorts values[1..n] (few of them), gives the median.
function median(values, n,    i, k, swap) {
    for (i = 2; i <= n; i++)
        for (k = i; k > 1 && values[k - 1] > values[k]; k--) {
            swap = values[k]; values[k] = values[k - 1]; values[k - 1] = swap
        }
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

function rate_of(entry, round, unit) {
    if (unit == "seconds")
        return wall[entry, round] / 1000000
    return unit == "bytes" ? bytes[entry, round] / wall[entry, round] / 1000 \
                           : events[entry, round] * 1000000 / wall[entry, round]
}

# "kcat-actions 2.9 us 70 MB  batch ...": medians of CPU, the greatest memory.
function processes(entry, unit,    i, k, name, text, values, most, n) {
    text = ""
    for (i = 1; i <= process_count[entry]; i++) {
        name = process_name[entry, i]
        n = most = 0
        for (k = 1; k <= rounds[entry]; k++) {
            values[++n] = cpu[entry, name, k] / (unit == "seconds" ? 1000 : events[entry, k])
            if (memory[entry, name, k] > most)
                most = memory[entry, name, k]
        }
        text = text sprintf("%s%s %.2f %s %.0f MB", i > 1 ? ", " : "", name, median(values, n), \
            unit == "seconds" ? "ms" : "us", most / 1024)
    }
    return text
}

function print_entry(entry, base, unit, title,    i, n, rates, ratios, database, noise, rate, ratio, spread) {
    n = rounds[entry]
    noise = 0
    for (i = 1; i <= n; i++) {
        rates[i] = rate_of(entry, i, unit) # or the time
        ratios[i] = (base, i) in wall ? rates[i] / rate_of(base, i, unit) : 0
        database[i] = unit == "seconds" ? 0 : postgres[entry, i] / events[entry, i]
        if (others[entry, i] > noise)
            noise = others[entry, i]
    }
    rate = show(median(rates, n), unit)
    spread = "(" show(rates[1], unit) "-" show(rates[n], unit) ")"
    ratio = entry == base ? "1" : sprintf("%.2f (%.2f-%.2f)", median(ratios, n), ratios[1], ratios[n])
    printf "  %-44s %9s %-19s %-17s %8s %6s  %s\n", title, rate, spread, ratio, \
        median(database, n) ? sprintf("%.1f us", median(database, n)) : "-", noise " %", processes(entry, unit)
}

# The catalogue: three fields are a section, five a contender (whose title may have a | too).
FNR == NR {
    n = split($0, field, "|")
    if (n == 3) {
        order[++section_count] = field[1]
        title[field[1]] = field[2]
        unit[field[1]] = field[3]
        next
    }
    entry = field[1] "|" field[2]
    members[field[1], ++member_count[field[1]]] = entry
    name = field[5]
    for (i = 6; i <= n; i++)
        name = name "|" field[i]
    title[entry] = name
    next
}

# The samples.
{
    split($0, field, "\t")
    entry = field[1] "|" field[2]
    round = ++rounds[entry]
    wall[entry, round] = field[4]
    events[entry, round] = field[5]
    bytes[entry, round] = field[6]
    postgres[entry, round] = field[7]
    others[entry, round] = field[8]
    for (i = 9; field[i] != ""; i += 3) {
        name = field[i]
        sub(/\.[0-9]$/, "", name) # of one of two pipelines
        if (!((entry, name) in is_known)) {
            is_known[entry, name] = 1
            process_name[entry, ++process_count[entry]] = name
        }
        cpu[entry, name, round] += field[i + 1]
        if (field[i + 2] > memory[entry, name, round])
            memory[entry, name, round] = field[i + 2] + 0
    }
}

END {
    for (s = 1; s <= section_count; s++) {
        base = members[order[s], 1]
        if (!(base in rounds))
            continue
        printf "\n%s\n", title[order[s]]
        what = unit[order[s]] == "bytes" ? "GB/s" : unit[order[s]] == "seconds" ? "seconds" : "events/s"
        printf "  %-44s %9s %-19s %-17s %8s %6s  %s\n", "", what, "(min-max)", "x peer (min-max)", "database", \
            "others", what == "seconds" ? "processes: CPU in all, peak memory" : "processes: CPU an event, peak memory"
        for (m = 1; m <= member_count[order[s]]; m++)
            if (members[order[s], m] in rounds)
                print_entry(members[order[s], m], base, unit[order[s]], title[members[order[s], m]])
    }
}
