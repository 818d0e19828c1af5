/*
 * actions: the one table of what SQS can do: each action's name, its input and output shape, and
 * for each member its JSON name, its Query name, its type and its place in the C structure. Adding
 * a member is one row. Both codecs and the client are driven by it.
 */
#ifndef SLUICE_SQS_ACTIONS_H
#define SLUICE_SQS_ACTIONS_H

#include "sluice/sqs/types.h"

#include <stddef.h>

enum sqs_action {
    SQS_CREATE_QUEUE,
    SQS_DELETE_QUEUE,
    SQS_GET_QUEUE_URL,
    SQS_LIST_QUEUES,
    SQS_GET_QUEUE_ATTRIBUTES,
    SQS_SET_QUEUE_ATTRIBUTES,
    SQS_SEND_MESSAGE,
    SQS_SEND_MESSAGE_BATCH,
    SQS_RECEIVE_MESSAGE,
    SQS_DELETE_MESSAGE,
    SQS_DELETE_MESSAGE_BATCH,
    SQS_CHANGE_MESSAGE_VISIBILITY,
    SQS_CHANGE_MESSAGE_VISIBILITY_BATCH,
    SQS_PURGE_QUEUE,
    SQS_ADD_PERMISSION,
    SQS_REMOVE_PERMISSION,
    SQS_TAG_QUEUE,
    SQS_UNTAG_QUEUE,
    SQS_LIST_QUEUE_TAGS,
    SQS_LIST_DEAD_LETTER_SOURCE_QUEUES,
    SQS_START_MESSAGE_MOVE_TASK,
    SQS_LIST_MESSAGE_MOVE_TASKS,
    SQS_CANCEL_MESSAGE_MOVE_TASK,
    SQS_ACTION__COUNT,
    SQS_ACTION_NONE = -1,
};

enum sqs_member_type {
    SQS_TYPE_STRING,
    SQS_TYPE_INT,        /* struct sqs_int */
    SQS_TYPE_BOOL,       /* bool */
    SQS_TYPE_STRINGS,    /* struct sqs_strings */
    SQS_TYPE_MAP,        /* struct sqs_map */
    SQS_TYPE_ATTRIBUTES, /* struct sqs_attributes */
    SQS_TYPE_STRUCTS,    /* SQS_STRUCT_LIST of `shape` */
};

struct sqs_shape;

struct sqs_member {
    const char *json_name;
    const char *query_name; /* list prefix in Query, element name in XML */
    size_t offset;
    const struct sqs_shape *shape;   /* of the elements of STRUCTS */
    const char *map_key, *map_value; /* of a MAP in Query and XML: "Name" or "Key", "Value" */
    enum sqs_member_type type;
    bool required;
};

struct sqs_shape {
    const struct sqs_member *members;
    size_t member_count;
    size_t struct_size;
};

struct sqs_action_info {
    const char *name; /* "SendMessage" */
    const struct sqs_shape *input;
    const struct sqs_shape *output; /* NULL: void action */
    bool on_queue;                  /* has QueueUrl: the path may name the queue */
};

const struct sqs_action_info *sqs_action_info(enum sqs_action action);
enum sqs_action sqs_action_find(struct str name); /* SQS_ACTION_NONE */

#endif
