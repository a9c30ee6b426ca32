#!/usr/bin/env bats
# doc.bats - what the documents name is there. (Their commands are run by e2e/readme.bats and e2e/manuals.bats.)
# shellcheck disable=SC2016 # a backquote is a backquote
bats_require_minimum_version 1.5.0
load ../support/helpers

setup() { helpers_setup; }
teardown() { helpers_teardown; }

# Its headings as a link has them.
anchors() { # FILE
    awk '/^```/ { inside = !inside } !inside && /^#+ / { sub(/^#+ /, ""); print tolower($0) }' "$1" |
        sed 's/[^a-z0-9_ -]//g; s/ /-/g'
}

@test "every link between the documents leads to a file and to a heading that are there" {
    local document link target count=0
    while IFS= read -r document; do
        while IFS= read -r link; do
            [[ $link != http* ]] || continue
            count=$((count + 1))
            target=$document
            [[ $link == '#'* ]] || target=$(dirname "$document")/${link%%#*}
            [[ -e $target ]] && { [[ $link != *'#'* ]] || anchors "$target" | grep -qx -- "${link#*#}"; } || {
                printf '%s: %s leads nowhere\n' "$document" "$link" >&2
                return 1
            }
        done < <(grep -oE '\]\([^)]+\)' "$document" | sed 's/^](//; s/)$//')
    done < <(find "$ROOT/README.md" "$ROOT/doc" -name '*.md')
    ((count > 30))
}

@test "the properties that the guide's tuning names are known to the Kafka client" {
    local property options=()
    while IFS= read -r property; do
        options+=(-X "$property")
    done < <(sed -n '/^## Tuning/,/^## Maintenance/p' "$ROOT/doc/DEPLOYMENT.md" |
        grep -oE '`[a-z]+(\.[a-z]+)+=[a-z0-9]+`' | tr -d '`')
    ((${#options[@]} >= 10))
    dlq --publish "${options[@]}" </dev/null
    run dlq --publish "${options[@]}" -X no.such.property=1 </dev/null
    assert_status 64
}

@test "every test that the guarantee names is there" {
    local name names=()
    mapfile -t names < <(sed -n 's/^|.*| \([^|]*\) |$/\1/p' "$ROOT/doc/GUARANTEE.md" |
        tr ',' '\n' | sed 's/^ *//' | grep -xE '[a-z0-9_/-]+' | grep -v '^-*$' | sort -u)
    ((${#names[@]} > 10))
    for name in "${names[@]}"; do
        compgen -G "$ROOT/test/bats/$name.bats" >/dev/null || compgen -G "$ROOT/test/bats/kafka/$name.bats" >/dev/null || {
            printf 'no test file %s\n' "$name" >&2
            return 1
        }
    done
}
