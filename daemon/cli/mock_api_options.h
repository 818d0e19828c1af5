/*
 * mock_api_options: the command line of `sluice mock-api`.
 */
#ifndef SLUICE_CLI_MOCK_API_OPTIONS_H
#define SLUICE_CLI_MOCK_API_OPTIONS_H

#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define MOCK_OUTAGES_MAX 16

struct mock_latency {
    int64_t mean_ns;
    double cv; /* 0: constant, else lognormal */
};

enum mock_outage_mode { MOCK_OUTAGE_REFUSE, MOCK_OUTAGE_503, MOCK_OUTAGE_BLACKHOLE };

struct mock_outage {
    int64_t begin_ns, end_ns; /* since the start */
    enum mock_outage_mode mode;
};

struct mock_options {
    const char *listen;   /* borrowed from argv, as the file names */
    uint32_t requests;    /* 0: no limit */
    int64_t per_ns;       /* also the window of the report; 1 s without a limit */
    uint32_t concurrency; /* 0: no bound */
    uint32_t retry_after; /* seconds; 0: no header */
    struct mock_latency latency, error_latency;
    double error_share, close_share;
    int error_status;
    bool has_error_latency;
    struct mock_outage outages[MOCK_OUTAGES_MAX];
    uint32_t outage_count;
    uint64_t seed;
    int64_t duration_ns; /* 0: until a signal */
    const char *report_path, *log_path;
    bool help;
};

extern const char mock_usage[];

/* argv[0] is skipped. On error *e->text is a sentence for a person. */
SL_MUST_CHECK int mock_options_parse(int argc, char **argv, struct mock_options *ret,
                                     struct error *e);

/* The values, one by one. */
SL_MUST_CHECK int mock_parse_latency(struct str text, struct mock_latency *ret);
SL_MUST_CHECK int mock_parse_share(struct str text, double *ret);
SL_MUST_CHECK int mock_parse_outage(struct str text, struct mock_outage *ret);

#endif
