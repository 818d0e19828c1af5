/*
 * types: the requests and answers of SQS as C structures, one per action, the same for server,
 * engine and client. Wire forms (AWS JSON 1.0, Query/XML) are sqs/codec; which member has which
 * name and type on the wire is the table in sqs/actions. Strings are borrowed from the arena of the
 * request. An absent string has ptr NULL, an absent number set == false.
 */
#ifndef SLUICE_SQS_TYPES_H
#define SLUICE_SQS_TYPES_H

#include "sluice/base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct sqs_int {
    bool set;
    int64_t value;
};

struct sqs_strings {
    struct str *items;
    uint32_t count;
    bool set; /* present on the wire, even when empty */
};

struct sqs_pair {
    struct str name, value;
};

struct sqs_map {
    struct sqs_pair *items;
    uint32_t count;
    bool set;
};

/* One message (system) attribute. Binary values are raw bytes here, base64 only on the wire. */
struct sqs_attribute {
    struct str name, data_type;
    struct str string_value, binary_value;
    bool has_list_values; /* StringListValues / BinaryListValues were given: UnsupportedOperation */
};

struct sqs_attributes {
    struct sqs_attribute *items;
    uint32_t count;
    bool set;
};

#define SQS_STRUCT_LIST(type)                                                                      \
    struct {                                                                                       \
        type *items;                                                                               \
        uint32_t count;                                                                            \
        bool set;                                                                                  \
    }

struct sqs_create_queue_in {
    struct str queue_name;
    struct sqs_map attributes, tags;
};
struct sqs_queue_url_out { /* CreateQueue, GetQueueUrl */
    struct str queue_url;
};
struct sqs_queue_in { /* DeleteQueue, PurgeQueue, ListQueueTags */
    struct str queue_url;
};
struct sqs_get_queue_url_in {
    struct str queue_name, owner_account;
};
struct sqs_list_queues_in {
    struct str prefix, next_token;
    struct sqs_int max_results;
};
struct sqs_list_queues_out { /* ListQueues, ListDeadLetterSourceQueues */
    struct sqs_strings queue_urls;
    struct str next_token;
};
struct sqs_get_queue_attributes_in {
    struct str queue_url;
    struct sqs_strings names;
};
struct sqs_get_queue_attributes_out {
    struct sqs_map attributes;
};
struct sqs_set_queue_attributes_in {
    struct str queue_url;
    struct sqs_map attributes;
};

struct sqs_send_entry { /* one message: SendMessage embeds it, SendMessageBatch lists it */
    struct str id;      /* batch only */
    struct str body;
    struct sqs_int delay_seconds;
    struct sqs_attributes attributes, system_attributes;
    struct str group_id, deduplication_id;
};
struct sqs_send_message_in {
    struct str queue_url;
    struct sqs_send_entry entry;
};
struct sqs_send_result {
    struct str id; /* batch only */
    struct str message_id, md5_of_body, md5_of_attributes, md5_of_system_attributes;
    struct str sequence_number;
};
struct sqs_send_batch_in {
    struct str queue_url;
    SQS_STRUCT_LIST(struct sqs_send_entry) entries;
};
struct sqs_batch_failure {
    struct str id, code, message;
    bool sender_fault;
};
struct sqs_send_batch_out {
    SQS_STRUCT_LIST(struct sqs_send_result) successful;
    SQS_STRUCT_LIST(struct sqs_batch_failure) failed;
};

struct sqs_receive_in {
    struct str queue_url;
    struct sqs_strings attribute_names, system_attribute_names, message_attribute_names;
    struct sqs_int max_messages, visibility_timeout, wait_seconds;
    struct str attempt_id;
};
struct sqs_message {
    struct str message_id, receipt_handle, md5_of_body, body;
    struct sqs_map system_attributes; /* "Attributes" on the wire */
    struct str md5_of_attributes;
    struct sqs_attributes attributes; /* "MessageAttributes" */
};
struct sqs_receive_out {
    SQS_STRUCT_LIST(struct sqs_message) messages;
};

struct sqs_handle_entry {
    struct str id; /* batch only */
    struct str receipt_handle;
    struct sqs_int visibility_timeout; /* ChangeMessageVisibility only */
};
struct sqs_handle_in { /* DeleteMessage, ChangeMessageVisibility */
    struct str queue_url;
    struct sqs_handle_entry entry;
};
struct sqs_handle_batch_in { /* DeleteMessageBatch, ChangeMessageVisibilityBatch */
    struct str queue_url;
    SQS_STRUCT_LIST(struct sqs_handle_entry) entries;
};
struct sqs_id_result {
    struct str id;
};
struct sqs_handle_batch_out {
    SQS_STRUCT_LIST(struct sqs_id_result) successful;
    SQS_STRUCT_LIST(struct sqs_batch_failure) failed;
};

/* ---- permissions, tags, dead letters ---- */
struct sqs_add_permission_in {
    struct str queue_url, label;
    struct sqs_strings account_ids, actions;
};
struct sqs_remove_permission_in {
    struct str queue_url, label;
};
struct sqs_tag_queue_in {
    struct str queue_url;
    struct sqs_map tags;
};
struct sqs_untag_queue_in {
    struct str queue_url;
    struct sqs_strings keys;
};
struct sqs_list_queue_tags_out {
    struct sqs_map tags;
};
struct sqs_list_dead_letter_sources_in {
    struct str queue_url, next_token;
    struct sqs_int max_results;
};
struct sqs_start_move_task_in {
    struct str source_arn, destination_arn;
    struct sqs_int max_per_second;
};
struct sqs_task_handle { /* what StartMessageMoveTask answers and CancelMessageMoveTask is given */
    struct str task_handle;
};
struct sqs_list_move_tasks_in {
    struct str source_arn;
    struct sqs_int max_results;
};
struct sqs_move_task {
    struct str task_handle; /* of a running task only */
    struct str status, source_arn, destination_arn;
    struct sqs_int max_per_second, moved, to_move;
    struct str failure_reason;
    struct sqs_int started_at; /* ms since 1970 */
};
struct sqs_list_move_tasks_out {
    SQS_STRUCT_LIST(struct sqs_move_task) results;
};
struct sqs_cancel_move_task_out {
    struct sqs_int moved;
};

#endif
