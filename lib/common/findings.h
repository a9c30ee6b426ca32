/* findings.h - what a --check found, one line each on stdout:
 *
 *     ok       topic agent-actions: 4 partitions
 *     warning  user writer may not make temporary tables: …
 *     fault    there is no topic agent-actions; create it, or check KAFKA_TOPIC
 *
 * A fault names its cure. The exit status of the whole is the highest of the faults' statuses (sysexits.h):
 * a wrong configuration (78) before a missing right (77) before what is not there (69).
 */
#ifndef COMMON_FINDINGS_H
#define COMMON_FINDINGS_H

struct findings {
    int exit_code; /* 0: no fault */
};

__attribute__((format(printf, 1, 2))) void findings_ok(const char *format, ...);
__attribute__((format(printf, 1, 2))) void findings_warning(const char *format, ...);
__attribute__((format(printf, 3, 4))) void findings_fault(struct findings *findings, int exit_code,
                                                          const char *format, ...);

#endif
