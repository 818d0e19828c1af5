/*
 * validate: the rules of SQS that need no queue, or only a few facts about it, with AWS's own
 * texts. Shared by the engine (which answers with them) and by clients. Pure: nothing is allocated
 * except where an arena is passed. Every function returns SQS_OK (0) or an enum sqs_error_code with
 * *e set.
 */
#ifndef SLUICE_SQS_VALIDATE_H
#define SLUICE_SQS_VALIDATE_H

#include "sluice/base/buf.h"
#include "sluice/base/mem.h"
#include "sluice/sqs/actions.h"
#include "sluice/sqs/error.h"

#define SQS_BATCH_ENTRIES_MAX      10
#define SQS_BATCH_BYTES_MAX        1048576
#define SQS_QUEUE_NAME_MAX         80
#define SQS_RECEIVE_MESSAGES_MAX   10
#define SQS_WAIT_SECONDS_MAX       20
#define SQS_DELAY_SECONDS_MAX      900
#define SQS_VISIBILITY_SECONDS_MAX 43200
#define SQS_MESSAGE_ATTRIBUTES_MAX 10
#define SQS_TAGS_MAX               50
#define SQS_POLICY_MAX_BYTES       8192
#define SQS_LIST_MAX               1000

#define SQS_INVALID_CHARACTERS_TEXT                                                                \
    "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | "   \
    "#xE000 to #xFFFD | #x10000 to #x10FFFF"

/* ---- queue attributes ---- */
/*
 * XX(NAME, "WireName", kind, min, max, default, fifo_only, settable)
 * kind INT: a decimal in [min, max]; BOOL: "true" or "false"; CHOICE: one of the words of
 * sqs_queue_attribute_info.choices; TEXT: at most max bytes, empty removes it.
 * default NULL: the attribute appears only when it is set.
 */
#define SQS_QUEUE_ATTRIBUTE_MAP(XX)                                                                \
    XX(APPROXIMATE_NUMBER_OF_MESSAGES, "ApproximateNumberOfMessages", INT, 0, INT64_MAX, NULL, 0,  \
       0)                                                                                          \
    XX(APPROXIMATE_NUMBER_OF_MESSAGES_DELAYED, "ApproximateNumberOfMessagesDelayed", INT, 0,       \
       INT64_MAX, NULL, 0, 0)                                                                      \
    XX(APPROXIMATE_NUMBER_OF_MESSAGES_NOT_VISIBLE, "ApproximateNumberOfMessagesNotVisible", INT,   \
       0, INT64_MAX, NULL, 0, 0)                                                                   \
    XX(CREATED_TIMESTAMP, "CreatedTimestamp", INT, 0, INT64_MAX, NULL, 0, 0)                       \
    XX(LAST_MODIFIED_TIMESTAMP, "LastModifiedTimestamp", INT, 0, INT64_MAX, NULL, 0, 0)            \
    XX(QUEUE_ARN, "QueueArn", TEXT, 0, 256, NULL, 0, 0)                                            \
    XX(VISIBILITY_TIMEOUT, "VisibilityTimeout", INT, 0, 43200, "30", 0, 1)                         \
    XX(MAXIMUM_MESSAGE_SIZE, "MaximumMessageSize", INT, 1024, 1048576, "1048576", 0, 1)            \
    XX(MESSAGE_RETENTION_PERIOD, "MessageRetentionPeriod", INT, 60, 1209600, "345600", 0, 1)       \
    XX(DELAY_SECONDS, "DelaySeconds", INT, 0, 900, "0", 0, 1)                                      \
    XX(RECEIVE_MESSAGE_WAIT_TIME_SECONDS, "ReceiveMessageWaitTimeSeconds", INT, 0, 20, "0", 0, 1)  \
    XX(SQS_MANAGED_SSE_ENABLED, "SqsManagedSseEnabled", BOOL, 0, 0, "true", 0, 1)                  \
    XX(POLICY, "Policy", TEXT, 0, 8192, NULL, 0, 1)                                                \
    XX(REDRIVE_POLICY, "RedrivePolicy", TEXT, 0, 1024, NULL, 0, 1)                                 \
    XX(REDRIVE_ALLOW_POLICY, "RedriveAllowPolicy", TEXT, 0, 4096, NULL, 0, 1)                      \
    XX(KMS_MASTER_KEY_ID, "KmsMasterKeyId", TEXT, 0, 2048, NULL, 0, 1)                             \
    XX(KMS_DATA_KEY_REUSE_PERIOD_SECONDS, "KmsDataKeyReusePeriodSeconds", INT, 60, 86400, NULL, 0, \
       1)                                                                                          \
    XX(FIFO_QUEUE, "FifoQueue", BOOL, 0, 0, "true", 1, 1)                                          \
    XX(CONTENT_BASED_DEDUPLICATION, "ContentBasedDeduplication", BOOL, 0, 0, "false", 1, 1)        \
    XX(DEDUPLICATION_SCOPE, "DeduplicationScope", CHOICE, 0, 0, "queue", 1, 1)                     \
    XX(FIFO_THROUGHPUT_LIMIT, "FifoThroughputLimit", CHOICE, 0, 0, "perQueue", 1, 1)

enum sqs_queue_attribute {
#define XX(name, wire, kind, min, max, default_value, fifo, set) SQS_QUEUE_ATTRIBUTE_##name,
    SQS_QUEUE_ATTRIBUTE_MAP(XX)
#undef XX
        SQS_QUEUE_ATTRIBUTE__COUNT,
    SQS_QUEUE_ATTRIBUTE_NONE = -1,
};

enum sqs_value_kind { SQS_VALUE_INT, SQS_VALUE_BOOL, SQS_VALUE_CHOICE, SQS_VALUE_TEXT };

struct sqs_queue_attribute_info {
    const char *name;
    const char *default_value;  /* NULL: shown only when set */
    const char *const *choices; /* NULL-terminated, CHOICE only */
    int64_t min, max;
    enum sqs_value_kind kind;
    bool fifo_only, settable;
};
const struct sqs_queue_attribute_info *sqs_queue_attribute_info(enum sqs_queue_attribute attribute);
enum sqs_queue_attribute sqs_queue_attribute_find(struct str name); /* …_NONE when unknown */

/* 1 to 80 of [A-Za-z0-9_-], FIFO names end ".fifo" (counted). */
SL_MUST_CHECK int sqs_validate_queue_name(struct str name, struct sqs_error *e);
bool sqs_queue_name_is_fifo(struct str name);
/* CreateQueue: name and attributes together (FifoQueue=true if and only if the name ends ".fifo").
 */
SL_MUST_CHECK int sqs_validate_create_queue(const struct sqs_create_queue_in *in,
                                            struct sqs_error *e);
/* SetQueueAttributes on a queue of that type: known, settable, in range, fit for the type. */
SL_MUST_CHECK int sqs_validate_set_queue_attributes(const struct sqs_map *attributes, bool fifo,
                                                    struct sqs_error *e);
int sqs_both_encryptions(struct sqs_error *e); /* the error of KmsMasterKeyId beside SQS's own */
/* What FifoThroughputLimit may be depends on what DeduplicationScope is: the values that a FIFO
 * queue comes to have. */
SL_MUST_CHECK int sqs_validate_fifo_throughput(struct str scope, struct str limit,
                                               struct sqs_error *e);
/* GetQueueAttributes: every name known ("All" too). */
SL_MUST_CHECK int sqs_validate_queue_attribute_names(const struct sqs_strings *names,
                                                     struct sqs_error *e);
/* The value of an attribute in a map, STR_NONE when absent (the last of several counts). */
struct str sqs_map_get(const struct sqs_map *map, struct str name);

/* ListQueues, ListDeadLetterSourceQueues: 1 to 1000. */
SL_MUST_CHECK int sqs_validate_max_results(struct sqs_int max_results, struct sqs_error *e);

/* ---- tags ---- */
/* Keys of 1 to 128 characters that do not begin "aws:", values of at most 256. How many a queue may
 * have (SQS_TAGS_MAX) is the caller's business. */
SL_MUST_CHECK int sqs_validate_tags(const struct sqs_map *tags, struct sqs_error *e);
/* TagQueue and UntagQueue: the same, and there must be some. */
SL_MUST_CHECK int sqs_validate_tag_queue(const struct sqs_tag_queue_in *in, struct sqs_error *e);
SL_MUST_CHECK int sqs_validate_untag_queue(const struct sqs_untag_queue_in *in,
                                           struct sqs_error *e);

/* ---- policies ---- */
/* RedrivePolicy and RedriveAllowPolicy are JSON texts. Parts lie in the arena. An empty text is the
 * caller's business (it removes the policy). */
struct sqs_redrive_policy {
    struct str dead_letter_arn;
    int64_t max_receives; /* 1..1000 */
};
SL_MUST_CHECK int sqs_redrive_policy_parse(struct str text, struct arena *arena,
                                           struct sqs_redrive_policy *ret, struct sqs_error *e);
/* {"deadLetterTargetArn":"…","maxReceiveCount":3}: the form that is stored and returned. */
int sqs_redrive_policy_write(const struct sqs_redrive_policy *policy, struct buf *out);

enum sqs_redrive_permission { SQS_REDRIVE_ALLOW_ALL, SQS_REDRIVE_DENY_ALL, SQS_REDRIVE_BY_QUEUE };
struct sqs_redrive_allow_policy {
    enum sqs_redrive_permission permission;
    struct sqs_strings source_arns; /* BY_QUEUE: 1 to 10 */
};
SL_MUST_CHECK int sqs_redrive_allow_policy_parse(struct str text, struct arena *arena,
                                                 struct sqs_redrive_allow_policy *ret,
                                                 struct sqs_error *e);

/* ---- sending ---- */
/* What the rules of a message depend on. */
struct sqs_send_rules {
    bool fifo;
    bool content_based_deduplication;
    int64_t max_message_bytes; /* MaximumMessageSize of the queue */
    bool batch;                /* the entry belongs to a batch: some texts differ */
};
/* Body and message attributes (names, types, values) in bytes; system attributes do not count. */
size_t sqs_message_size(const struct sqs_send_entry *entry);
/* Everything about one message; in a batch an error is that entry's alone. */
SL_MUST_CHECK int sqs_validate_send_entry(const struct sqs_send_entry *entry,
                                          const struct sqs_send_rules *rules, struct sqs_error *e);
/* What fails a whole SendMessageBatch: no entries, too many, ids, total size, on FIFO a missing
 * group or deduplication id. */
SL_MUST_CHECK int sqs_validate_send_batch(const struct sqs_send_batch_in *in,
                                          const struct sqs_send_rules *rules, struct sqs_error *e);
/* Characters SQS takes in bodies and String values; false also when it is no UTF-8. */
bool sqs_text_is_valid(struct str text);

/* ---- receiving and settling ---- */
SL_MUST_CHECK int sqs_validate_receive(const struct sqs_receive_in *in, bool fifo,
                                       struct sqs_error *e);
/* DelaySeconds and VisibilityTimeout of a request; an absent one is fine. */
SL_MUST_CHECK int sqs_validate_delay(struct sqs_int seconds, bool fifo, struct sqs_error *e);
SL_MUST_CHECK int sqs_validate_visibility(struct sqs_int seconds, struct sqs_error *e);
/* What fails a whole DeleteMessageBatch or ChangeMessageVisibilityBatch (action says which). */
SL_MUST_CHECK int sqs_validate_handle_batch(enum sqs_action action,
                                            const struct sqs_handle_batch_in *in,
                                            struct sqs_error *e);
/* One entry of ChangeMessageVisibility(Batch): VisibilityTimeout present and in range. */
SL_MUST_CHECK int sqs_validate_handle_entry(enum sqs_action action,
                                            const struct sqs_handle_entry *entry,
                                            struct sqs_error *e);
/* The Failed[] entry of an error (Code is the Query code). id is borrowed; the message is copied to
 * the arena; ERR_NOMEM when it is full. */
SL_MUST_CHECK int sqs_batch_failure_set(struct sqs_batch_failure *ret, struct str id,
                                        const struct sqs_error *e, struct arena *arena);

#endif
