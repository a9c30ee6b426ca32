/* Counters that processes share: each attaches in a child of its own, as a tool does. */
#include "unit.h"

#include "common/counters.h"
#include "common/timestamp.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char directory[] = "/tmp/test-counters-XXXXXX";
static char *path;

static int make_directory(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    path = xasprintf("%s/stats", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    rmdir(directory);
    free(path);
    return 0;
}

static int start_anew(void **state)
{
    (void)state;
    unlink(path);
    unsetenv("AGENT_ACTIONS_PIPELINE");
    return 0;
}

/* A tool of another process, which attaches, counts and lives until it is told to end. */
struct process {
    pid_t pid;
    int to_it;
};

static struct process spawn(enum tool tool, uint64_t rows)
{
    int to_child[2], from_child[2];
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(from_child), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(to_child[1]);
        close(from_child[0]);
        char *error, byte = 0;
        struct stats_slot *slot = stats_attach(path, tool, &error);
        stats_add(slot, COUNTER_rows_inserted, rows);
        bool well = !error && write(from_child[1], &byte, 1) == 1;
        _exit(well && read(to_child[0], &byte, 1) == 1 ? 0 : 1);
    }
    close(to_child[0]);
    close(from_child[1]);
    char byte;
    ssize_t got = read(from_child[0], &byte, 1);
    close(from_child[0]);
    if (got != 1)
        fail_msg("the process could not attach");
    return (struct process){pid, to_child[1]};
}

static void finish(struct process process)
{
    int status;
    assert_int_equal(write(process.to_it, "", 1), 1);
    close(process.to_it);
    assert_int_equal(waitpid(process.pid, &status, 0), process.pid);
    assert_int_equal(status, 0);
}

static void murder(struct process process)
{
    kill(process.pid, SIGKILL);
    waitpid(process.pid, NULL, 0);
    close(process.to_it);
}

static size_t count_slots(const struct stats_file *file, enum tool tool, size_t *alive)
{
    size_t count = 0;
    *alive = 0;
    for (size_t i = 0; i < STATS_SLOTS; i++) {
        count += stats_slot(file, i)->tool == (uint32_t)tool;
        *alive += stats_slot(file, i)->tool == (uint32_t)tool && stats_is_alive(file, i);
    }
    return count;
}

TEST(a_reader_sees_what_a_tool_counts_while_it_lives)
{
    struct process pgsink = spawn(TOOL_PGSINK, 7);
    struct stats_file *file = stats_open(path);
    assert_non_null(file);
    const struct stats_slot *slot = stats_find(file, TOOL_PGSINK, 0);
    assert_non_null(slot);
    assert_int_equal(stats_get(slot, COUNTER_rows_inserted), 7);
    assert_int_equal(slot->pid, pgsink.pid);
    assert_int_equal(slot->starts, 1);
    int64_t now = now_microseconds();
    assert_in_range(slot->started, now - 10000000, now);
    assert_in_range(slot->heartbeat, slot->started, now);
    assert_true(stats_is_alive(file, 0));
    assert_false(stats_is_alive(file, 1));
    assert_int_equal(stats_slot(file, 1)->tool, TOOL_NONE);
    assert_null(stats_find(file, TOOL_DLQ, 0));
    finish(pgsink);
    assert_false(stats_is_alive(file, 0));
    assert_int_equal(stats_get(slot, COUNTER_rows_inserted), 7);
    stats_close(file);
}

TEST(the_next_process_takes_a_dead_slot_and_counts_on)
{
    finish(spawn(TOOL_PGSINK, 7));
    murder(spawn(TOOL_PGSINK, 10));
    struct process third = spawn(TOOL_PGSINK, 100);
    struct stats_file *file = stats_open(path);
    size_t alive;
    assert_int_equal(count_slots(file, TOOL_PGSINK, &alive), 1);
    assert_int_equal(alive, 1);
    const struct stats_slot *slot = stats_find(file, TOOL_PGSINK, 0);
    assert_int_equal(stats_get(slot, COUNTER_rows_inserted), 117);
    assert_int_equal(slot->starts, 3);
    assert_int_equal(slot->pid, third.pid);
    finish(third);
    stats_close(file);
}

TEST(two_live_processes_of_one_tool_have_two_slots)
{
    struct process first = spawn(TOOL_PGSINK, 1), second = spawn(TOOL_PGSINK, 2);
    struct stats_file *file = stats_open(path);
    size_t alive;
    assert_int_equal(count_slots(file, TOOL_PGSINK, &alive), 2);
    assert_int_equal(alive, 2);
    assert_int_equal(stats_get(stats_slot(file, 0), COUNTER_rows_inserted), 1);
    assert_int_equal(stats_get(stats_slot(file, 1), COUNTER_rows_inserted), 2);
    finish(first);
    assert_int_equal(count_slots(file, TOOL_PGSINK, &alive), 2);
    assert_int_equal(alive, 1);
    finish(second);
    stats_close(file);
}

TEST(tools_and_pipelines_have_slots_of_their_own)
{
    setenv("AGENT_ACTIONS_PIPELINE", "0", 1);
    finish(spawn(TOOL_PGSINK, 1));
    finish(spawn(TOOL_DLQ, 2));
    setenv("AGENT_ACTIONS_PIPELINE", "3", 1);
    assert_int_equal(stats_pipeline(), 3);
    finish(spawn(TOOL_PGSINK, 4));
    finish(spawn(TOOL_PGSINK, 8));
    struct stats_file *file = stats_open(path);
    assert_int_equal(stats_get(stats_find(file, TOOL_PGSINK, 0), COUNTER_rows_inserted), 1);
    assert_int_equal(stats_get(stats_find(file, TOOL_DLQ, 0), COUNTER_rows_inserted), 2);
    assert_int_equal(stats_get(stats_find(file, TOOL_PGSINK, 3), COUNTER_rows_inserted), 12);
    assert_null(stats_find(file, TOOL_DLQ, 3));
    stats_close(file);
}

TEST(processes_that_start_at_once_do_not_share_a_slot)
{
    enum { PROCESSES = 20 };
    pid_t pids[PROCESSES];
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            char *error, byte;
            close(gate[1]);
            bool opened = read(gate[0], &byte, 1) == 0;
            struct stats_slot *slot = stats_attach(path, TOOL_BATCH, &error);
            for (int k = 0; k < 1000; k++)
                stats_add(slot, COUNTER_lines_batched, 1);
            _exit(opened && !error ? 0 : 1);
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        waitpid(pids[i], &status, 0);
        assert_int_equal(status, 0);
    }
    struct stats_file *file = stats_open(path);
    uint64_t lines = 0, starts = 0;
    for (size_t i = 0; i < STATS_SLOTS; i++) {
        lines += stats_get(stats_slot(file, i), COUNTER_lines_batched);
        starts += stats_slot(file, i)->starts;
    }
    assert_int_equal(lines, PROCESSES * 1000);
    assert_int_equal(starts, PROCESSES);
    stats_close(file);
}

TEST(when_no_slot_is_unused_a_dead_one_of_another_tool_is_cleared)
{
    for (int i = 0; i < STATS_SLOTS; i++) {
        cleanup_free char *number = xasprintf("%d", i);
        setenv("AGENT_ACTIONS_PIPELINE", number, 1);
        finish(spawn(TOOL_PGSINK, 5));
    }
    setenv("AGENT_ACTIONS_PIPELINE", "7", 1);
    struct process dlq = spawn(TOOL_DLQ, 1);
    struct stats_file *file = stats_open(path);
    const struct stats_slot *slot = stats_find(file, TOOL_DLQ, 7);
    assert_non_null(slot);
    assert_int_equal(stats_get(slot, COUNTER_rows_inserted), 1);
    assert_int_equal(slot->starts, 1);
    finish(dlq);
    stats_close(file);
}

static void write_file(const void *bytes, size_t len, off_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

/* Attaching to what cannot be used counts for nobody, and says so. */
static void assert_counts_for_nobody(const char *file, const char *why)
{
    char *error;
    struct stats_slot *slot = stats_attach(file, TOOL_PGSINK, &error);
    assert_non_null(slot);
    assert_non_null(error);
    if (!strstr(error, why) || !strstr(error, file))
        fail_msg("%s", error);
    stats_add(slot, COUNTER_rows_inserted, 3);
    assert_int_equal(stats_get(slot, COUNTER_rows_inserted), 3);
    assert_int_equal(slot->tool, TOOL_PGSINK);
    free(error);
}

TEST(a_foreign_file_is_refused_and_left_as_it_is)
{
    static const char content[] = "precious words of somebody else";
    write_file(content, sizeof content, sizeof content);
    assert_counts_for_nobody(path, "another version");
    assert_null(stats_open(path));
    assert_int_equal(errno, EINVAL);
    char bytes[sizeof content];
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, bytes, sizeof bytes), sizeof bytes);
    close(fd);
    assert_memory_equal(bytes, content, sizeof content);
}

TEST(a_file_of_the_right_size_and_another_layout_is_refused)
{
    finish(spawn(TOOL_PGSINK, 1));
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    write_file("agent-actions 1\0another layout", 30, status.st_size);
    assert_counts_for_nobody(path, "another version");
    assert_null(stats_open(path));
    assert_int_equal(errno, EINVAL);
}

/* A process that was killed between making the file and marking it must not spoil it for all others. */
TEST(a_file_that_was_made_but_not_marked_is_taken)
{
    finish(spawn(TOOL_PGSINK, 1));
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    write_file("", 0, status.st_size);
    assert_null(stats_open(path));
    finish(spawn(TOOL_PGSINK, 5));
    struct stats_file *file = stats_open(path);
    assert_non_null(file);
    assert_int_equal(stats_get(stats_find(file, TOOL_PGSINK, 0), COUNTER_rows_inserted), 5);
    stats_close(file);
}

TEST(a_path_that_cannot_be_opened_is_told)
{
    assert_counts_for_nobody("/nonexistent/stats", "No such file or directory");
    assert_null(stats_open("/nonexistent/stats"));
    assert_int_equal(errno, ENOENT);
    stats_close(NULL);
}

TEST(without_a_path_nothing_is_said)
{
    char *error;
    struct stats_slot *slot = stats_attach(NULL, TOOL_DLQ, &error);
    assert_null(error);
    assert_int_equal(slot->tool, TOOL_DLQ);
    assert_int_equal(slot->pid, getpid());
}

TEST(a_reader_needs_no_right_to_write)
{
    finish(spawn(TOOL_PGSINK, 1));
    assert_int_equal(chmod(path, 0444), 0);
    struct stats_file *file = stats_open(path);
    assert_non_null(file);
    assert_false(stats_is_alive(file, 0));
    stats_close(file);
}

TEST(observations_fall_into_their_buckets)
{
    char *error;
    struct stats_slot *slot = stats_attach(NULL, TOOL_PGSINK, &error);
    const struct stats_histogram *h = &slot->histograms[HISTOGRAM_batch_duration];
    stats_observe(slot, HISTOGRAM_batch_duration, 0, 1);
    stats_observe(slot, HISTOGRAM_batch_duration, histogram_bounds[0], 2);
    stats_observe(slot, HISTOGRAM_batch_duration, histogram_bounds[0] + 1, 4);
    stats_observe(slot, HISTOGRAM_batch_duration, histogram_bounds[HISTOGRAM_BOUNDS - 1] + 1, 8);
    assert_int_equal(h->buckets[0], 3);
    assert_int_equal(h->buckets[1], 4);
    assert_int_equal(h->buckets[HISTOGRAM_BOUNDS], 8);
    assert_int_equal(h->sum, 2 * 500 + 4 * 501 + 8 * INT64_C(60000001));
    stats_observe(slot, HISTOGRAM_batch_duration, -5000000, 1);
    assert_int_equal(h->buckets[0], 4);
    assert_int_equal(h->sum, 2 * 500 + 4 * 501 + 8 * INT64_C(60000001));
    for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++)
        assert_true(histogram_bounds[i - 1] < histogram_bounds[i]);
}

TEST(a_partition_has_one_entry)
{
    char *error;
    struct stats_slot *slot = stats_attach(NULL, TOOL_KCAT_ACTIONS, &error);
    struct stats_partition *first = stats_partition(slot, "agent-actions", 0);
    assert_non_null(first);
    assert_string_equal(first->topic, "agent-actions");
    assert_int_equal(first->committed, -1);
    assert_int_equal(first->position, -1);
    assert_int_equal(first->high_watermark, -1);
    assert_false(first->is_assigned);
    assert_ptr_equal(stats_partition(slot, "agent-actions", 0), first);
    assert_ptr_not_equal(stats_partition(slot, "agent-actions", 1), first);
    assert_ptr_not_equal(stats_partition(slot, "agent-action", 0), first);
    assert_int_equal(slot->partition_count, 3);
}

TEST(a_full_table_of_partitions_and_a_name_too_long_are_refused)
{
    char *error, topic[300];
    struct stats_slot *slot = stats_attach(NULL, TOOL_KCAT_ACTIONS, &error);
    memset(topic, 't', sizeof topic);
    topic[252] = '\0';
    assert_null(stats_partition(slot, topic, 0));
    topic[249] = '\0';
    assert_non_null(stats_partition(slot, topic, 0));
    for (int i = 1; i < STATS_PARTITIONS; i++)
        assert_non_null(stats_partition(slot, "t", i));
    assert_null(stats_partition(slot, "t", STATS_PARTITIONS));
    assert_non_null(stats_partition(slot, "t", 5));
}

TEST(each_counter_is_described_once)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        assert_true(counter_info[i].tool > TOOL_NONE && counter_info[i].tool < TOOL_COUNT);
        assert_true(strlen(counter_info[i].help) > 0);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(counter_info[i].name, counter_info[k].name);
    }
    assert_string_equal(counter_info[COUNTER_rows_inserted].name, "rows_inserted");
    assert_int_equal(counter_info[COUNTER_rows_inserted].tool, TOOL_PGSINK);
    assert_int_equal(counter_info[COUNTER_last_commit_time].kind, KIND_TIME);
    assert_string_equal(tool_names[TOOL_KCAT_ACTIONS], "kcat-actions");
    assert_string_equal(tool_names[TOOL_DLQ], "dlq");
    assert_string_equal(histogram_info[HISTOGRAM_end_to_end_latency].name, "end_to_end_latency");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_reader_sees_what_a_tool_counts_while_it_lives, start_anew),
        cmocka_unit_test_setup(the_next_process_takes_a_dead_slot_and_counts_on, start_anew),
        cmocka_unit_test_setup(two_live_processes_of_one_tool_have_two_slots, start_anew),
        cmocka_unit_test_setup(tools_and_pipelines_have_slots_of_their_own, start_anew),
        cmocka_unit_test_setup(processes_that_start_at_once_do_not_share_a_slot, start_anew),
        cmocka_unit_test_setup(when_no_slot_is_unused_a_dead_one_of_another_tool_is_cleared, start_anew),
        cmocka_unit_test_setup(a_foreign_file_is_refused_and_left_as_it_is, start_anew),
        cmocka_unit_test_setup(a_file_of_the_right_size_and_another_layout_is_refused, start_anew),
        cmocka_unit_test_setup(a_file_that_was_made_but_not_marked_is_taken, start_anew),
        cmocka_unit_test_setup(a_path_that_cannot_be_opened_is_told, start_anew),
        cmocka_unit_test_setup(without_a_path_nothing_is_said, start_anew),
        cmocka_unit_test_setup(a_reader_needs_no_right_to_write, start_anew),
        cmocka_unit_test(observations_fall_into_their_buckets),
        cmocka_unit_test(a_partition_has_one_entry),
        cmocka_unit_test(a_full_table_of_partitions_and_a_name_too_long_are_refused),
        cmocka_unit_test_setup(each_counter_is_described_once, start_anew),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
