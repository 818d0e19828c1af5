#include "sluice/sqs/actions.h"

#define MEMBER(container, field, json, query, kind, needed)                                        \
    {                                                                                              \
        .json_name = (json), .query_name = (query), .type = SQS_TYPE_##kind,                       \
        .offset = offsetof(struct container, field), .required = (needed)                          \
    }
#define MAP_MEMBER(container, field, json, query, key)                                             \
    {                                                                                              \
        .json_name = (json), .query_name = (query), .type = SQS_TYPE_MAP,                          \
        .offset = offsetof(struct container, field), .map_key = (key), .map_value = "Value"        \
    }
#define LIST_MEMBER(container, field, json, query, element)                                        \
    {                                                                                              \
        .json_name = (json), .query_name = (query), .type = SQS_TYPE_STRUCTS,                      \
        .offset = offsetof(struct container, field), .shape = &(element)                           \
    }
#define SHAPE(name, container, members)                                                            \
    static const struct sqs_shape name = {(members), SL_COUNT(members), sizeof(struct container)}

/* An absent QueueUrl is no missing parameter: the path may name the queue, and AWS answers that
 * the queue does not exist. It is the first member of every structure of an action on a queue. */
#define QUEUE_URL(type) MEMBER(type, queue_url, "QueueUrl", "QueueUrl", STRING, false)

_Static_assert(offsetof(struct sqs_queue_in, queue_url) == 0, "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_get_queue_attributes_in, queue_url) == 0,
               "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_set_queue_attributes_in, queue_url) == 0,
               "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_send_message_in, queue_url) == 0, "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_send_batch_in, queue_url) == 0, "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_receive_in, queue_url) == 0, "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_handle_in, queue_url) == 0, "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_handle_batch_in, queue_url) == 0, "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_add_permission_in, queue_url) == 0, "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_remove_permission_in, queue_url) == 0, "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_tag_queue_in, queue_url) == 0, "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_untag_queue_in, queue_url) == 0, "QueueUrl comes first");
_Static_assert(offsetof(struct sqs_list_dead_letter_sources_in, queue_url) == 0,
               "QueueUrl comes first");

/* ---- queues ---- */
static const struct sqs_member create_queue_in[] = {
    MEMBER(sqs_create_queue_in, queue_name, "QueueName", "QueueName", STRING, true),
    MAP_MEMBER(sqs_create_queue_in, attributes, "Attributes", "Attribute", "Name"),
    MAP_MEMBER(sqs_create_queue_in, tags, "tags", "Tag", "Key"),
};
SHAPE(create_queue_in_shape, sqs_create_queue_in, create_queue_in);

static const struct sqs_member queue_url_out[] = {QUEUE_URL(sqs_queue_url_out)};
SHAPE(queue_url_out_shape, sqs_queue_url_out, queue_url_out);

static const struct sqs_member queue_in[] = {QUEUE_URL(sqs_queue_in)};
SHAPE(queue_in_shape, sqs_queue_in, queue_in);

static const struct sqs_member get_queue_url_in[] = {
    MEMBER(sqs_get_queue_url_in, queue_name, "QueueName", "QueueName", STRING, true),
    MEMBER(sqs_get_queue_url_in, owner_account, "QueueOwnerAWSAccountId", "QueueOwnerAWSAccountId",
           STRING, false),
};
SHAPE(get_queue_url_in_shape, sqs_get_queue_url_in, get_queue_url_in);

static const struct sqs_member list_queues_in[] = {
    MEMBER(sqs_list_queues_in, prefix, "QueueNamePrefix", "QueueNamePrefix", STRING, false),
    MEMBER(sqs_list_queues_in, next_token, "NextToken", "NextToken", STRING, false),
    MEMBER(sqs_list_queues_in, max_results, "MaxResults", "MaxResults", INT, false),
};
SHAPE(list_queues_in_shape, sqs_list_queues_in, list_queues_in);

static const struct sqs_member list_queues_out[] = {
    MEMBER(sqs_list_queues_out, queue_urls, "QueueUrls", "QueueUrl", STRINGS, false),
    MEMBER(sqs_list_queues_out, next_token, "NextToken", "NextToken", STRING, false),
};
SHAPE(list_queues_out_shape, sqs_list_queues_out, list_queues_out);

static const struct sqs_member get_queue_attributes_in[] = {
    QUEUE_URL(sqs_get_queue_attributes_in),
    MEMBER(sqs_get_queue_attributes_in, names, "AttributeNames", "AttributeName", STRINGS, false),
};
SHAPE(get_queue_attributes_in_shape, sqs_get_queue_attributes_in, get_queue_attributes_in);

static const struct sqs_member get_queue_attributes_out[] = {
    MAP_MEMBER(sqs_get_queue_attributes_out, attributes, "Attributes", "Attribute", "Name"),
};
SHAPE(get_queue_attributes_out_shape, sqs_get_queue_attributes_out, get_queue_attributes_out);

static const struct sqs_member set_queue_attributes_in[] = {
    QUEUE_URL(sqs_set_queue_attributes_in),
    MAP_MEMBER(sqs_set_queue_attributes_in, attributes, "Attributes", "Attribute", "Name"),
};
SHAPE(set_queue_attributes_in_shape, sqs_set_queue_attributes_in, set_queue_attributes_in);

/* ---- sending: one message is the same in SendMessage and in a batch; `at` is its place ---- */
#define SEND_MEMBERS(type, at)                                                                     \
    MEMBER(type, at body, "MessageBody", "MessageBody", STRING, true),                             \
        MEMBER(type, at delay_seconds, "DelaySeconds", "DelaySeconds", INT, false),                \
        MEMBER(type, at attributes, "MessageAttributes", "MessageAttribute", ATTRIBUTES, false),   \
        MEMBER(type, at system_attributes, "MessageSystemAttributes", "MessageSystemAttribute",    \
               ATTRIBUTES, false),                                                                 \
        MEMBER(type, at group_id, "MessageGroupId", "MessageGroupId", STRING, false),              \
        MEMBER(type, at deduplication_id, "MessageDeduplicationId", "MessageDeduplicationId",      \
               STRING, false)

static const struct sqs_member send_message_in[] = {
    QUEUE_URL(sqs_send_message_in),
    SEND_MEMBERS(sqs_send_message_in, entry.),
};
SHAPE(send_message_in_shape, sqs_send_message_in, send_message_in);

static const struct sqs_member send_entry[] = {
    MEMBER(sqs_send_entry, id, "Id", "Id", STRING, true),
    SEND_MEMBERS(sqs_send_entry, ),
};
SHAPE(send_entry_shape, sqs_send_entry, send_entry);

static const struct sqs_member send_batch_in[] = {
    QUEUE_URL(sqs_send_batch_in),
    LIST_MEMBER(sqs_send_batch_in, entries, "Entries", "SendMessageBatchRequestEntry",
                send_entry_shape),
};
SHAPE(send_batch_in_shape, sqs_send_batch_in, send_batch_in);

/* SendMessage never sets id, so one shape serves both. */
static const struct sqs_member send_result[] = {
    MEMBER(sqs_send_result, id, "Id", "Id", STRING, false),
    MEMBER(sqs_send_result, message_id, "MessageId", "MessageId", STRING, false),
    MEMBER(sqs_send_result, md5_of_body, "MD5OfMessageBody", "MD5OfMessageBody", STRING, false),
    MEMBER(sqs_send_result, md5_of_attributes, "MD5OfMessageAttributes", "MD5OfMessageAttributes",
           STRING, false),
    MEMBER(sqs_send_result, md5_of_system_attributes, "MD5OfMessageSystemAttributes",
           "MD5OfMessageSystemAttributes", STRING, false),
    MEMBER(sqs_send_result, sequence_number, "SequenceNumber", "SequenceNumber", STRING, false),
};
SHAPE(send_result_shape, sqs_send_result, send_result);

static const struct sqs_member batch_failure[] = {
    MEMBER(sqs_batch_failure, id, "Id", "Id", STRING, false),
    MEMBER(sqs_batch_failure, sender_fault, "SenderFault", "SenderFault", BOOL, false),
    MEMBER(sqs_batch_failure, code, "Code", "Code", STRING, false),
    MEMBER(sqs_batch_failure, message, "Message", "Message", STRING, false),
};
SHAPE(batch_failure_shape, sqs_batch_failure, batch_failure);

static const struct sqs_member send_batch_out[] = {
    LIST_MEMBER(sqs_send_batch_out, successful, "Successful", "SendMessageBatchResultEntry",
                send_result_shape),
    LIST_MEMBER(sqs_send_batch_out, failed, "Failed", "BatchResultErrorEntry", batch_failure_shape),
};
SHAPE(send_batch_out_shape, sqs_send_batch_out, send_batch_out);

/* ---- receiving ---- */
static const struct sqs_member receive_in[] = {
    QUEUE_URL(sqs_receive_in),
    MEMBER(sqs_receive_in, attribute_names, "AttributeNames", "AttributeName", STRINGS, false),
    MEMBER(sqs_receive_in, system_attribute_names, "MessageSystemAttributeNames",
           "MessageSystemAttributeName", STRINGS, false),
    MEMBER(sqs_receive_in, message_attribute_names, "MessageAttributeNames", "MessageAttributeName",
           STRINGS, false),
    MEMBER(sqs_receive_in, max_messages, "MaxNumberOfMessages", "MaxNumberOfMessages", INT, false),
    MEMBER(sqs_receive_in, visibility_timeout, "VisibilityTimeout", "VisibilityTimeout", INT,
           false),
    MEMBER(sqs_receive_in, wait_seconds, "WaitTimeSeconds", "WaitTimeSeconds", INT, false),
    MEMBER(sqs_receive_in, attempt_id, "ReceiveRequestAttemptId", "ReceiveRequestAttemptId", STRING,
           false),
};
SHAPE(receive_in_shape, sqs_receive_in, receive_in);

static const struct sqs_member message[] = {
    MEMBER(sqs_message, message_id, "MessageId", "MessageId", STRING, false),
    MEMBER(sqs_message, receipt_handle, "ReceiptHandle", "ReceiptHandle", STRING, false),
    MEMBER(sqs_message, md5_of_body, "MD5OfBody", "MD5OfBody", STRING, false),
    MEMBER(sqs_message, body, "Body", "Body", STRING, false),
    MAP_MEMBER(sqs_message, system_attributes, "Attributes", "Attribute", "Name"),
    MEMBER(sqs_message, md5_of_attributes, "MD5OfMessageAttributes", "MD5OfMessageAttributes",
           STRING, false),
    MEMBER(sqs_message, attributes, "MessageAttributes", "MessageAttribute", ATTRIBUTES, false),
};
SHAPE(message_shape, sqs_message, message);

static const struct sqs_member receive_out[] = {
    LIST_MEMBER(sqs_receive_out, messages, "Messages", "Message", message_shape),
};
SHAPE(receive_out_shape, sqs_receive_out, receive_out);

/* ---- settling ---- */
static const struct sqs_member delete_message_in[] = {
    QUEUE_URL(sqs_handle_in),
    MEMBER(sqs_handle_in, entry.receipt_handle, "ReceiptHandle", "ReceiptHandle", STRING, true),
};
SHAPE(delete_message_in_shape, sqs_handle_in, delete_message_in);

static const struct sqs_member change_visibility_in[] = {
    QUEUE_URL(sqs_handle_in),
    MEMBER(sqs_handle_in, entry.receipt_handle, "ReceiptHandle", "ReceiptHandle", STRING, true),
    MEMBER(sqs_handle_in, entry.visibility_timeout, "VisibilityTimeout", "VisibilityTimeout", INT,
           true),
};
SHAPE(change_visibility_in_shape, sqs_handle_in, change_visibility_in);

static const struct sqs_member delete_entry[] = {
    MEMBER(sqs_handle_entry, id, "Id", "Id", STRING, true),
    MEMBER(sqs_handle_entry, receipt_handle, "ReceiptHandle", "ReceiptHandle", STRING, true),
};
SHAPE(delete_entry_shape, sqs_handle_entry, delete_entry);

/* A missing VisibilityTimeout fails its entry, not the batch: sqs_validate_handle_entry(). */
static const struct sqs_member change_visibility_entry[] = {
    MEMBER(sqs_handle_entry, id, "Id", "Id", STRING, true),
    MEMBER(sqs_handle_entry, receipt_handle, "ReceiptHandle", "ReceiptHandle", STRING, true),
    MEMBER(sqs_handle_entry, visibility_timeout, "VisibilityTimeout", "VisibilityTimeout", INT,
           false),
};
SHAPE(change_visibility_entry_shape, sqs_handle_entry, change_visibility_entry);

static const struct sqs_member delete_batch_in[] = {
    QUEUE_URL(sqs_handle_batch_in),
    LIST_MEMBER(sqs_handle_batch_in, entries, "Entries", "DeleteMessageBatchRequestEntry",
                delete_entry_shape),
};
SHAPE(delete_batch_in_shape, sqs_handle_batch_in, delete_batch_in);

static const struct sqs_member change_visibility_batch_in[] = {
    QUEUE_URL(sqs_handle_batch_in),
    LIST_MEMBER(sqs_handle_batch_in, entries, "Entries", "ChangeMessageVisibilityBatchRequestEntry",
                change_visibility_entry_shape),
};
SHAPE(change_visibility_batch_in_shape, sqs_handle_batch_in, change_visibility_batch_in);

static const struct sqs_member id_result[] = {
    MEMBER(sqs_id_result, id, "Id", "Id", STRING, false),
};
SHAPE(id_result_shape, sqs_id_result, id_result);

static const struct sqs_member delete_batch_out[] = {
    LIST_MEMBER(sqs_handle_batch_out, successful, "Successful", "DeleteMessageBatchResultEntry",
                id_result_shape),
    LIST_MEMBER(sqs_handle_batch_out, failed, "Failed", "BatchResultErrorEntry",
                batch_failure_shape),
};
SHAPE(delete_batch_out_shape, sqs_handle_batch_out, delete_batch_out);

static const struct sqs_member change_visibility_batch_out[] = {
    LIST_MEMBER(sqs_handle_batch_out, successful, "Successful",
                "ChangeMessageVisibilityBatchResultEntry", id_result_shape),
    LIST_MEMBER(sqs_handle_batch_out, failed, "Failed", "BatchResultErrorEntry",
                batch_failure_shape),
};
SHAPE(change_visibility_batch_out_shape, sqs_handle_batch_out, change_visibility_batch_out);

/* ---- permissions and tags: what their lists must hold is judged by sqs/validate ---- */
static const struct sqs_member add_permission_in[] = {
    QUEUE_URL(sqs_add_permission_in),
    MEMBER(sqs_add_permission_in, label, "Label", "Label", STRING, true),
    MEMBER(sqs_add_permission_in, account_ids, "AWSAccountIds", "AWSAccountId", STRINGS, false),
    MEMBER(sqs_add_permission_in, actions, "Actions", "ActionName", STRINGS, false),
};
SHAPE(add_permission_in_shape, sqs_add_permission_in, add_permission_in);

static const struct sqs_member remove_permission_in[] = {
    QUEUE_URL(sqs_remove_permission_in),
    MEMBER(sqs_remove_permission_in, label, "Label", "Label", STRING, true),
};
SHAPE(remove_permission_in_shape, sqs_remove_permission_in, remove_permission_in);

static const struct sqs_member tag_queue_in[] = {
    QUEUE_URL(sqs_tag_queue_in),
    MAP_MEMBER(sqs_tag_queue_in, tags, "Tags", "Tag", "Key"),
};
SHAPE(tag_queue_in_shape, sqs_tag_queue_in, tag_queue_in);

static const struct sqs_member untag_queue_in[] = {
    QUEUE_URL(sqs_untag_queue_in),
    MEMBER(sqs_untag_queue_in, keys, "TagKeys", "TagKey", STRINGS, false),
};
SHAPE(untag_queue_in_shape, sqs_untag_queue_in, untag_queue_in);

static const struct sqs_member list_queue_tags_out[] = {
    MAP_MEMBER(sqs_list_queue_tags_out, tags, "Tags", "Tag", "Key"),
};
SHAPE(list_queue_tags_out_shape, sqs_list_queue_tags_out, list_queue_tags_out);

/* ---- dead letters ---- */
static const struct sqs_member list_dead_letter_sources_in[] = {
    QUEUE_URL(sqs_list_dead_letter_sources_in),
    MEMBER(sqs_list_dead_letter_sources_in, next_token, "NextToken", "NextToken", STRING, false),
    MEMBER(sqs_list_dead_letter_sources_in, max_results, "MaxResults", "MaxResults", INT, false),
};
SHAPE(list_dead_letter_sources_in_shape, sqs_list_dead_letter_sources_in,
      list_dead_letter_sources_in);

/* The one list of queues whose name AWS writes with a small letter. */
static const struct sqs_member list_dead_letter_sources_out[] = {
    MEMBER(sqs_list_queues_out, queue_urls, "queueUrls", "QueueUrl", STRINGS, false),
    MEMBER(sqs_list_queues_out, next_token, "NextToken", "NextToken", STRING, false),
};
SHAPE(list_dead_letter_sources_out_shape, sqs_list_queues_out, list_dead_letter_sources_out);

static const struct sqs_member start_move_task_in[] = {
    MEMBER(sqs_start_move_task_in, source_arn, "SourceArn", "SourceArn", STRING, true),
    MEMBER(sqs_start_move_task_in, destination_arn, "DestinationArn", "DestinationArn", STRING,
           false),
    MEMBER(sqs_start_move_task_in, max_per_second, "MaxNumberOfMessagesPerSecond",
           "MaxNumberOfMessagesPerSecond", INT, false),
};
SHAPE(start_move_task_in_shape, sqs_start_move_task_in, start_move_task_in);

static const struct sqs_member task_handle[] = {
    MEMBER(sqs_task_handle, task_handle, "TaskHandle", "TaskHandle", STRING, true),
};
SHAPE(task_handle_shape, sqs_task_handle, task_handle);

static const struct sqs_member list_move_tasks_in[] = {
    MEMBER(sqs_list_move_tasks_in, source_arn, "SourceArn", "SourceArn", STRING, true),
    MEMBER(sqs_list_move_tasks_in, max_results, "MaxResults", "MaxResults", INT, false),
};
SHAPE(list_move_tasks_in_shape, sqs_list_move_tasks_in, list_move_tasks_in);

static const struct sqs_member move_task[] = {
    MEMBER(sqs_move_task, task_handle, "TaskHandle", "TaskHandle", STRING, false),
    MEMBER(sqs_move_task, status, "Status", "Status", STRING, false),
    MEMBER(sqs_move_task, source_arn, "SourceArn", "SourceArn", STRING, false),
    MEMBER(sqs_move_task, destination_arn, "DestinationArn", "DestinationArn", STRING, false),
    MEMBER(sqs_move_task, max_per_second, "MaxNumberOfMessagesPerSecond",
           "MaxNumberOfMessagesPerSecond", INT, false),
    MEMBER(sqs_move_task, moved, "ApproximateNumberOfMessagesMoved",
           "ApproximateNumberOfMessagesMoved", INT, false),
    MEMBER(sqs_move_task, to_move, "ApproximateNumberOfMessagesToMove",
           "ApproximateNumberOfMessagesToMove", INT, false),
    MEMBER(sqs_move_task, failure_reason, "FailureReason", "FailureReason", STRING, false),
    MEMBER(sqs_move_task, started_at, "StartedTimestamp", "StartedTimestamp", INT, false),
};
SHAPE(move_task_shape, sqs_move_task, move_task);

static const struct sqs_member list_move_tasks_out[] = {
    LIST_MEMBER(sqs_list_move_tasks_out, results, "Results", "ListMessageMoveTasksResultEntry",
                move_task_shape),
};
SHAPE(list_move_tasks_out_shape, sqs_list_move_tasks_out, list_move_tasks_out);

static const struct sqs_member cancel_move_task_out[] = {
    MEMBER(sqs_cancel_move_task_out, moved, "ApproximateNumberOfMessagesMoved",
           "ApproximateNumberOfMessagesMoved", INT, false),
};
SHAPE(cancel_move_task_out_shape, sqs_cancel_move_task_out, cancel_move_task_out);

/* ---- the actions ---- */
static const struct sqs_action_info actions[SQS_ACTION__COUNT] = {
    [SQS_CREATE_QUEUE] = {"CreateQueue", &create_queue_in_shape, &queue_url_out_shape, false},
    [SQS_DELETE_QUEUE] = {"DeleteQueue", &queue_in_shape, NULL, true},
    [SQS_GET_QUEUE_URL] = {"GetQueueUrl", &get_queue_url_in_shape, &queue_url_out_shape, false},
    [SQS_LIST_QUEUES] = {"ListQueues", &list_queues_in_shape, &list_queues_out_shape, false},
    [SQS_GET_QUEUE_ATTRIBUTES] = {"GetQueueAttributes", &get_queue_attributes_in_shape,
                                  &get_queue_attributes_out_shape, true},
    [SQS_SET_QUEUE_ATTRIBUTES] = {"SetQueueAttributes", &set_queue_attributes_in_shape, NULL, true},
    [SQS_SEND_MESSAGE] = {"SendMessage", &send_message_in_shape, &send_result_shape, true},
    [SQS_SEND_MESSAGE_BATCH] = {"SendMessageBatch", &send_batch_in_shape, &send_batch_out_shape,
                                true},
    [SQS_RECEIVE_MESSAGE] = {"ReceiveMessage", &receive_in_shape, &receive_out_shape, true},
    [SQS_DELETE_MESSAGE] = {"DeleteMessage", &delete_message_in_shape, NULL, true},
    [SQS_DELETE_MESSAGE_BATCH] = {"DeleteMessageBatch", &delete_batch_in_shape,
                                  &delete_batch_out_shape, true},
    [SQS_CHANGE_MESSAGE_VISIBILITY] = {"ChangeMessageVisibility", &change_visibility_in_shape, NULL,
                                       true},
    [SQS_CHANGE_MESSAGE_VISIBILITY_BATCH] = {"ChangeMessageVisibilityBatch",
                                             &change_visibility_batch_in_shape,
                                             &change_visibility_batch_out_shape, true},
    [SQS_PURGE_QUEUE] = {"PurgeQueue", &queue_in_shape, NULL, true},
    [SQS_ADD_PERMISSION] = {"AddPermission", &add_permission_in_shape, NULL, true},
    [SQS_REMOVE_PERMISSION] = {"RemovePermission", &remove_permission_in_shape, NULL, true},
    [SQS_TAG_QUEUE] = {"TagQueue", &tag_queue_in_shape, NULL, true},
    [SQS_UNTAG_QUEUE] = {"UntagQueue", &untag_queue_in_shape, NULL, true},
    [SQS_LIST_QUEUE_TAGS] = {"ListQueueTags", &queue_in_shape, &list_queue_tags_out_shape, true},
    [SQS_LIST_DEAD_LETTER_SOURCE_QUEUES] = {"ListDeadLetterSourceQueues",
                                            &list_dead_letter_sources_in_shape,
                                            &list_dead_letter_sources_out_shape, true},
    [SQS_START_MESSAGE_MOVE_TASK] = {"StartMessageMoveTask", &start_move_task_in_shape,
                                     &task_handle_shape, false},
    [SQS_LIST_MESSAGE_MOVE_TASKS] = {"ListMessageMoveTasks", &list_move_tasks_in_shape,
                                     &list_move_tasks_out_shape, false},
    [SQS_CANCEL_MESSAGE_MOVE_TASK] = {"CancelMessageMoveTask", &task_handle_shape,
                                      &cancel_move_task_out_shape, false},
};

const struct sqs_action_info *sqs_action_info(enum sqs_action action)
{
    SL_ASSERT(action >= 0 && action < SQS_ACTION__COUNT);
    return &actions[action];
}

enum sqs_action sqs_action_find(struct str name)
{
    for (int i = 0; i < SQS_ACTION__COUNT; i++) {
        if (str_equal(name, str_from(actions[i].name))) {
            return (enum sqs_action)i;
        }
    }
    return SQS_ACTION_NONE;
}
