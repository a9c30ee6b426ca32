#!/usr/bin/env bats
# deploy.bats - what is in deploy/ is valid, goes with the tools, and with itself.
# shellcheck disable=SC2016,SC2154 # conditions for wait_until are expanded there; bats' run sets output
bats_require_minimum_version 1.5.0
load ../support/helpers

# The validators are got once, into build/, which may have been used before.
setup_file() {
    local wanted=$ROOT/test/support/validators.txt place=$ROOT/build/validators
    if ! cmp -s "$wanted" "$place/installed"; then
        rm -rf "$place"
        python3 -m venv "$place"
        "$place/bin/pip" -q --disable-pip-version-check install -r "$wanted"
        cp "$wanted" "$place/installed"
    fi
    export DEPLOY=$ROOT/deploy
}

setup() {
    helpers_setup
    PATH=$ROOT/build/validators/bin:$PATH
}
teardown() { helpers_teardown; }

# ---- what the files say

# All of Kubernetes' objects, but for the kustomizations.
manifests() {
    find "$DEPLOY/kubernetes" -name '*.yaml' ! -name kustomization.yaml | sort
}

rules() {
    yaml_to_json <"$DEPLOY/prometheus/agent-actions.rules.yml" | jq -c '.groups[].rules[]'
}

# One JSON value for each document.
yaml_to_json() {
    "$ROOT/build/validators/bin/python" -c '
import json, sys, yaml
for document in yaml.safe_load_all(sys.stdin):
    print(json.dumps(document))'
}

# The queries of the dashboard's panels and annotations, with Grafana's variables filled in as Grafana would.
dashboard_queries() { # INTERVAL
    jq -r '.panels[].targets[]?.expr, .annotations.list[].expr' "$DEPLOY/grafana/agent-actions.json" |
        sed "s/\$__rate_interval/$1/g; s/\$instance\|\$pipeline/.*/g"
}

# ---- a pipeline played to the end: a sample for every metric

play_everything() {
    local tool
    export AGENT_ACTIONS_STATS=$BATS_TEST_TMPDIR/stats
    background kcat stats-writer stats kcat-actions kafka_connected=1 partitions_assigned=1 records_consumed=10 \
        records_acked=10 kafka_refused_since=-90s last_commit_time=-1s last_record_time=-1s agent-actions/0=8,10,12
    background batch stats-writer stats batch lines_batched=10
    background pgsink stats-writer stats pgsink database_connected=1 rows_inserted=9 rows_rejected=1 last_batch_time=-1s \
        database_refused_since=-90s 'batch_duration=2000*3' 'end_to_end_latency=9000*9'
    background dlq stats-writer stats dlq rejects_published=1 dlq_refused_since=-90s
    for tool in kcat batch pgsink dlq; do
        wait_until "grep -q ready $tool.out"
    done
}

# ---- Docker

@test "hadolint finds nothing in the Dockerfile" {
    hadolint "$DEPLOY/docker/Dockerfile"
}

@test "docker compose takes the compose file, and its services are confined" {
    # A copy, so that no secrets are made beside the original.
    cp -r "$DEPLOY" deploy
    deploy/docker/make-secrets
    docker-compose -f deploy/docker/compose.yaml config --format json >compose.json
    jq -e '.services["agent-actions"] | .read_only and .cap_drop == ["ALL"] and (.tmpfs | sort) == ["/run", "/tmp"]
        and (.ports | all(.host_ip == "127.0.0.1"))' compose.json
    # Every file that is mounted is there.
    jq -r '.services[].volumes[]? | select(.type == "bind") | .source' compose.json >sources
    [[ -s sources ]]
    while IFS= read -r source; do
        [[ -e $source ]] || {
            printf 'mounted, and not there: %s\n' "$source"
            false
        }
    done <sources
}

@test "the secrets are made once, behind a directory that lets nobody else through" {
    cp -r "$DEPLOY/docker" docker
    docker/make-secrets
    assert_equal "$(stat -c %a docker/secrets)" 700
    cp -r docker/secrets before
    docker/make-secrets
    diff -r before docker/secrets
}

@test "the image's HEALTHCHECK is a command of healthd's that tells health by its exit status" {
    local -a command
    mapfile -t command < <(sed -n '/^HEALTHCHECK/,/^[^ ]*$/{s/^  *CMD //p}' "$DEPLOY/docker/Dockerfile" | jq -r '.[]')
    assert_equal "${command[0]##*/} ${command[-2]}" "healthd --stats"
    command=(healthd "${command[@]:1:${#command[@]}-2}" stats)
    run "${command[@]}"
    assert_status 1
    play_everything
    run "${command[@]}"
    assert_status 1
    stop kcat KILL && stop pgsink KILL && stop dlq KILL
    background kcat stats-writer stats kcat-actions kafka_connected=1 partitions_assigned=1 kafka_refused_since=0
    background pgsink stats-writer stats pgsink database_connected=1 database_refused_since=0
    background dlq stats-writer stats dlq dlq_refused_since=0
    wait_until 'grep -q ready kcat.out && grep -q ready pgsink.out && grep -q ready dlq.out'
    run "${command[@]}"
    assert_status 0
}

@test "what the image's build is given is enough for make install, with the HEALTHCHECK's program among it" {
    local path sanitizers='' health
    [[ $BUILD != */san ]] || sanitizers=address,undefined
    mkdir context
    # Files as .dockerignore lets them through; and, to save time, the tools' objects.
    while read -r path; do
        (cd "$ROOT" && compgen -G "${path#!}" | xargs -I{} cp -a --parents {} "$BATS_TEST_TMPDIR/context")
    done < <(grep '^!' "$DEPLOY/docker/Dockerfile.dockerignore")
    (cd "$ROOT" && cp -a --parents "${BUILD#"$ROOT/"}"/{lib,obj} "$BATS_TEST_TMPDIR/context")
    rm -r "context/${BUILD#"$ROOT/"}/obj/test"
    make -s -C context SAN="$sanitizers" install DESTDIR="$BATS_TEST_TMPDIR/image" 3>&- 4>&-
    health=$(sed -n 's/^ *CMD \["\([^"]*healthd\)".*/\1/p' "$DEPLOY/docker/Dockerfile")
    [[ -x image$health && -x image/usr/local/bin/agent-actions ]]
}

# ---- Kubernetes

@test "every manifest is valid by Kubernetes' own schemas, and has no member they do not know" {
    manifests | xargs kubernetes-validate --strict --no-warn
}

@test "kustomize puts the manifests together, with each component" {
    local component
    kubectl kustomize "$DEPLOY/kubernetes" >base.yaml
    yaml_to_json <base.yaml | jq -es 'map(select(.kind == "Deployment"))[0].spec.replicas == 2'
    for component in keda hpa podmonitor; do
        # kubectl takes relative paths alone, inside or beside the directory.
        rm -rf overlay && cp -r "$DEPLOY/kubernetes" overlay
        printf 'components: [components/%s]\n' "$component" >>overlay/kustomization.yaml
        kubectl kustomize overlay | yaml_to_json >"$component.json"
        assert_equal "$(jq -s 'map(select(.kind == "Deployment")) | length' "$component.json")" 1
    done
    # An autoscaler's number of pods is not set back by the next apply.
    jq -es 'map(select(.kind == "Deployment"))[0].spec | has("replicas") | not' keda.json
    jq -es 'map(select(.kind == "Deployment"))[0].spec | has("replicas") | not' hpa.json
}

@test "the overlay that the guide prints is put together, with its addresses and the way to them" {
    mkdir production
    cp -r "$DEPLOY" deploy
    awk '/^```yaml/ { inside = 1; next } /^```/ { inside = 0 } inside' "$ROOT/doc/DEPLOYMENT.md" >production/kustomization.yaml
    kubectl kustomize production | yaml_to_json >overlay.json
    assert_equal "$(jq -r 'select(.kind == "ConfigMap") | .data.POSTGRES_HOST' overlay.json)" db.example.com
    assert_equal "$(jq -r 'select(.kind == "NetworkPolicy") | .spec.egress[-1].ports[1].port' overlay.json)" 5432
}

@test "every pod is confined, and has longer to end than a drain may take" {
    local drain margin
    drain=$(sed -n 's/.*drain_timeout=\([0-9]*\) .*/\1/p' "$ROOT/scripts/lib/run.bash" | head -n 1)
    margin=$(sed -n 's/^readonly DRAIN_MARGIN=\([0-9]*\).*/\1/p' "$ROOT/scripts/lib/run.bash")
    manifests | xargs -n 1 sed '$a---' | yaml_to_json |
        jq -c 'select(.spec.template?.spec.containers?) | .spec.template.spec' >pods.json
    assert_equal "$(wc -l <pods.json)" 2
    jq -es 'all(.securityContext.runAsNonRoot and .securityContext.seccompProfile.type == "RuntimeDefault"
        and (.automountServiceAccountToken | not) and .enableServiceLinks == false
        and (.containers | all(.securityContext.readOnlyRootFilesystem and .resources.limits.memory
            and .securityContext.capabilities.drop == ["ALL"] and .securityContext.allowPrivilegeEscalation == false)))' pods.json
    jq -es --argjson least "$((drain + margin))" 'all(.restartPolicy == "Never"
        or .terminationGracePeriodSeconds > $least)' pods.json
}

@test "every file that the pods' configuration names is a key of the Secret" {
    yaml_to_json <"$DEPLOY/kubernetes/secret.example.yaml" | jq -r '.stringData | keys[]' | sort >keys
    yaml_to_json <"$DEPLOY/kubernetes/config.yaml" |
        jq -r '.data[] | select(startswith("/")) | sub("^/etc/agent-actions/secrets/"; "")' | sort >files
    [[ -s files ]]
    diff keys files
}

# ---- Prometheus and Grafana

@test "promtool takes the rules and the configuration" {
    promtool check rules "$DEPLOY/prometheus/agent-actions.rules.yml"
    promtool check config "$DEPLOY/prometheus/prometheus.yml"
}

@test "each alert fires when it should and is silent when it should" {
    promtool test rules "$DEPLOY/prometheus/agent-actions.rules.test.yml"
    # None is without its cases.
    rules | jq -r .alert | sort >alerts
    yaml_to_json <"$DEPLOY/prometheus/agent-actions.rules.test.yml" |
        jq -r '.tests[].alert_rule_test[] | select(.exp_alerts) | .alertname' | sort -u | diff alerts -
    yaml_to_json <"$DEPLOY/prometheus/agent-actions.rules.test.yml" |
        jq -r '.tests[].alert_rule_test[] | select(.exp_alerts | not) | .alertname' | sort -u | diff alerts -
}

@test "each alert's runbook has a section about it" {
    local alert file
    rules | jq -r '"\(.alert) \(.annotations.runbook)"' >runbooks
    [[ $(wc -l <runbooks) == "$(grep -c 'alert:' "$DEPLOY/prometheus/agent-actions.rules.yml")" ]]
    while read -r alert file; do
        assert_equal "${file#*#}" "${alert,,}"
        grep -qx "#* $alert" "$ROOT/${file%#*}" || {
            printf 'no section %s in %s\n' "$alert" "${file%#*}"
            false
        }
    done <runbooks
}

@test "healthd has every metric that the rules and the dashboard ask for" {
    play_everything
    healthd --once --format prometheus >metrics
    sed -n 's/^\(agent_actions_[a-z_]*\)[{ ].*/\1/p' metrics | sort -u >there
    { rules | jq -r .expr && dashboard_queries 1m; } | grep -oE '\bagent_actions_[a-z_]+' | sort -u >asked
    [[ $(wc -l <asked) -gt 25 ]]
    comm -13 there asked >missing
    assert_equal "$(<missing)" ''
}

@test "in a real Prometheus every panel has data, every rule can be evaluated, and alerts arise" {
    play_everything
    background healthd healthd -l 127.0.0.1:0 --port-file port
    wait_until '[[ -s port ]]'
    sed "s/15s/1s/g; s/^ *dns_sd_configs:.*/    static_configs: [{targets: [\"127.0.0.1:$(<port)\"]}]/; /names:.*A, port/d" \
        "$DEPLOY/prometheus/prometheus.yml" >prometheus.yml
    cp "$DEPLOY/prometheus/agent-actions.rules.yml" .
    background prometheus prometheus --config.file=prometheus.yml --storage.tsdb.path=tsdb \
        --web.listen-address="127.0.0.1:0" --log.level=info
    # It tells its port in its log.
    wait_until 'grep -q "msg=\"Listening on\"" prometheus.log'
    local url query
    url=http://$(grep -oE 'msg="Listening on" address=[0-9.:]+' prometheus.log | grep -oE '[0-9.]+:[0-9]+')
    prometheus_has() { # QUERY
        curl -sSG "$url/api/v1/query" --data-urlencode "query=$1" >answer.json
        jq -e '.status == "success" and (.data.result | length > 0)' answer.json >/dev/null
    }
    wait_until 'prometheus_has "count_over_time(agent_actions_healthy[1m]) > 2"'
    # The alerts with no delay are there already; then the annotation's query has something to find.
    wait_until 'prometheus_has "ALERTS{alertname=\"AgentActionsDatabaseRefuses\", alertstate=\"firing\"}"'
    dashboard_queries 1m >queries
    [[ $(wc -l <queries) -gt 25 ]]
    while IFS= read -r query; do
        prometheus_has "$query" || {
            printf 'no data: %s\n' "$query"
            cat answer.json
            false
        }
    done <queries
    wait_until "curl -sS $url/api/v1/rules | jq -e '[.data.groups[].rules[].health] | length == $(rules | wc -l) and all(. == \"ok\")'"
}

@test "no two of the dashboard's panels overlap, and each has its own number" {
    jq -e '[.panels[].id] | length == (unique | length)' "$DEPLOY/grafana/agent-actions.json"
    jq -e '[.panels[].gridPos | . as $p | range(.x; .x + .w) as $x | range(.y; .y + .h) as $y | [$x, $y]]
        | length == (unique | length)' "$DEPLOY/grafana/agent-actions.json"
    jq -e '[.panels[].gridPos | .x + .w] | max == 24' "$DEPLOY/grafana/agent-actions.json"
}
