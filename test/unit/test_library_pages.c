#include "unit.h"

#include "common/library_pages.h"

#include <stdio.h>
#include <string.h>

/* Pages of files that are mapped and in memory. */
static unsigned long resident_file_pages(void)
{
    unsigned long whole, resident, shared;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu %lu", &whole, &resident, &shared), 3);
    fclose(file);
    return shared;
}

static void what_the_start_has_touched_is_given_back(void **state)
{
    (void)state;
    unsigned long before = resident_file_pages();
    library_pages_give_back();
    unsigned long after = resident_file_pages();
    assert_true(after < before);
}

static int number = 7; /* in a page that was written to */

static void libraries_and_what_they_hold_go_on_as_before(void **state)
{
    (void)state;
    char text[32];
    FILE *stream = tmpfile();
    assert_non_null(stream);
    number++;
    fprintf(stream, "%d words\n", number);
    library_pages_give_back();
    rewind(stream);
    assert_non_null(fgets(text, sizeof text, stream));
    assert_string_equal(text, "8 words\n");
    fclose(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_start_has_touched_is_given_back),
        cmocka_unit_test(libraries_and_what_they_hold_go_on_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
