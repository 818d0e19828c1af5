/*
 * settings: everything a configuration file says, read, checked and resolved, as plain structures.
 * The table of rows is in daemon/settings.c. A struct settings is immutable after settings_load and
 * belongs to its caller. Absent strings are NULL, durations are nanoseconds (…_ns) or whole seconds
 * (…_s), indices refer to the arrays here.
 */
#ifndef SLUICE_SETTINGS_H
#define SLUICE_SETTINGS_H

#include "sluice/base/buf.h"
#include "sluice/base/err.h"
#include "sluice/base/str.h"
#include "sluice/deliver/message_headers.h"
#include "sluice/deliver/message_key.h"
#include "sluice/flow/flow.h"
#include "sluice/flow/outcome_rules.h"
#include "sluice/limit/limit.h"
#include "sluice/runtime/config.h"
#include "sluice/runtime/log.h"

#include <stdbool.h>
#include <stdint.h>

#define SETTINGS_NONE UINT32_MAX /* an index that refers to nothing */

enum quota_period_setting { QUOTA_PERIOD_NONE, QUOTA_PERIOD_HOUR, QUOTA_PERIOD_DAY };

struct limit_settings {
    char *name;
    enum limit_kind kind;
    enum limit_hold hold;
    uint32_t requests;
    int64_t per_ns; /* resolved: of a quota, its period */
    enum quota_period_setting period;
    uint32_t burst;   /* bucket: >= 1 (resolved); window: 0 */
    int64_t guard_ns; /* resolved: by hold when not given */
    int64_t max_flight_ns;
    char *key;         /* NULL: one limit for all messages */
    uint32_t keys_max; /* resolved; 0 without key */
    bool dry_run;
    struct message_key parsed_key; /* resolved */
};

struct outcome_settings {
    struct config_strings status, error;
    char *header, *body, *value;
    enum outcome outcome;
    struct outcome_rule rule; /* resolved */
};

/* A typed view on struct config_array: the same layout. */
#define SETTINGS_ARRAY(type)                                                                       \
    struct {                                                                                       \
        type *items;                                                                               \
        uint32_t count;                                                                            \
    }

struct target_settings {
    char *name;
    char *url; /* http:// or https://, absolute */
    uint32_t concurrency;
    int64_t timeout_ns, connect_timeout_ns, abort_hold_ns;
    struct breaker_config breaker;
    bool adaptive_concurrency;
    struct config_map headers; /* of every request; the values are secret */
    struct config_map message_headers;
    SETTINGS_ARRAY(struct outcome_settings) outcomes;
};

/* What something of a FIFO queue is counted for: deduplication_scope and fifo_throughput_limit. */
enum queue_scope { QUEUE_SCOPE_QUEUE, QUEUE_SCOPE_GROUP };

struct queue_settings {
    char *name;
    char *dead_letter; /* name of another queue here, or NULL */
    uint32_t max_receives;
    uint32_t visibility_timeout_s, delay_s, retention_s, receive_wait_s;
    uint32_t max_message_bytes;
    /* of FIFO queues only */
    bool content_based_deduplication;
    enum queue_scope deduplication_scope, fifo_throughput_limit;
    /* resolved */
    bool fifo;                  /* the name ends in .fifo */
    bool implied;               /* not declared: named by a dead_letter only */
    uint32_t dead_letter_index; /* in queues, or SETTINGS_NONE */
};

/* What happens to work that was begun, and nobody knows how that ended. */
enum idempotency_unknown { IDEMPOTENCY_CALL, IDEMPOTENCY_DEAD_LETTER };

struct idempotency_settings {
    char *key;                /* the expression; NULL: no idempotency */
    int64_t expires_after_ns; /* resolved: a day when not given */
    enum idempotency_unknown on_unknown;
    struct message_key parsed; /* resolved */
};

/* Of on_success and on_failure: neither is given (NULL), or one. */
struct destination_settings {
    char *queue; /* name of an embedded queue, or the URL of an SQS queue */
    char *url;   /* to post to */
    /* resolved */
    uint32_t queue_index; /* in queues; SETTINGS_NONE: queue is a URL, or none */
};

/* Of another account, or a narrower one. */
struct role_settings {
    char *arn; /* NULL: none */
    char *external_id, *session_name;
};

enum route_unwrap { UNWRAP_NONE, UNWRAP_SNS };

struct route_settings {
    char *name;
    char *queue; /* name of an embedded queue, or the URL of an SQS queue */
    char *target;
    struct config_strings limits; /* names */
    uint32_t concurrency;         /* 0: all of the target's */
    uint32_t weight, share, priority;
    char *tenant;
    struct message_key parsed_tenant; /* resolved */
    bool paused;
    int64_t visibility_ns; /* of a message held from SQS; resolved: above the target's timeout */
    struct retry_config retry;
    struct idempotency_settings idempotency;
    struct destination_settings on_success, on_failure;
    struct role_settings assume_role;
    int unwrap; /* enum route_unwrap */
    /* resolved */
    uint32_t queue_index; /* in queues; SETTINGS_NONE: queue is a URL */
    uint32_t target_index;
    uint32_t limit_index[LIMIT_SET_MAX]; /* limits.count of them */
};

struct access_key_settings {
    char *id;
    char *secret;
    /* What its holder may do, both at once: patterns of names. */
    struct config_strings actions, queues;
};

struct settings {
    SETTINGS_ARRAY(struct limit_settings) limits;
    SETTINGS_ARRAY(struct target_settings) targets;
    SETTINGS_ARRAY(struct queue_settings) queues;
    SETTINGS_ARRAY(struct route_settings) routes;
    struct {
        struct config_strings
            listen; /* "127.0.0.1:9324", "[::1]:9324", "unix:/path"; may be empty */
        char *region, *account;
        SETTINGS_ARRAY(struct access_key_settings) access_keys;
        bool allow_anonymous;
        bool sixty_second_rules;
        struct {
            char *cert_file, *key_file; /* both or none (NULL): absolute paths */
        } tls;
    } sqs_api;
    struct {
        struct config_strings listen; /* health and metrics; may be empty */
    } http;
    struct {
        enum log_level level;
        enum log_format format;
        char *service;
    } log;
    struct {
        char *region;   /* NULL: from the environment or the queue URL */
        char *endpoint; /* NULL: from the queue URL */
        char *profile;  /* NULL: as the environment says */
        bool use_fips, use_dualstack;
        char *ca_file, *proxy; /* NULL: as the environment says */
        uint32_t cents_per_million;
    } aws;
    char *stage; /* NULL: none */
    int64_t drain_timeout_ns;
    char *time_zone; /* of quotas */
    char *data_dir;  /* NULL: see runtime/datadir.h */
};

/* Reads and checks. *ret is set only on success; errors has all that is wrong, else. filename is
 * for messages. Returns 0 or the code of the first error. */
SL_MUST_CHECK int settings_load(struct str text, const char *filename, struct settings **ret,
                                struct error_list *errors);
/* Reads the file (bounded) and loads it; with a stage (NULL: none), merged with the stage's own
 * file beside it: sluice.prd.json for sluice.json and prd. */
SL_MUST_CHECK int settings_load_file(const char *path, const char *stage, struct settings **ret,
                                     struct error_list *errors);
/* What holds without a file: an SQS server on loopback, no routes. Never fails. */
struct settings *settings_default(void);
void settings_free(struct settings *settings);

/* What is allowed but probably not meant. */
void settings_warn(const struct settings *settings, struct error_list *warnings);

/* As JSON, secrets redacted. */
int settings_dump(const struct settings *settings, struct buf *out);
/* conf/sluice.full.json */
int settings_example(struct buf *out);
/* The rows, for the JSON Schema and the manual. */
const struct config_table *settings_table(void);

#endif
