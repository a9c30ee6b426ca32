/* metrics.h - a snapshot as text: the JSON of /metrics, and Prometheus' text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Members and names are in the manual page.
 */
#ifndef HEALTHD_METRICS_H
#define HEALTHD_METRICS_H

#include "snapshot.h"

#include "common/buffer.h"

/* `rate`: records read a second. */
void metrics_write_json(struct buffer *out, const struct snapshot *snapshot, double rate);
void metrics_write_prometheus(struct buffer *out, const struct snapshot *snapshot, bool is_healthy);

/* Whether a request with this Accept header (NULL: none) wants Prometheus' text rather than JSON: whether
 * it gives text/plain or application/openmetrics-text a higher quality (RFC 9110, 12.5.1). */
bool accept_prefers_text(const char *accept);

#endif
