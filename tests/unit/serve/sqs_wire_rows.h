/*
 * sqs_wire_rows: the cases of sqs_wire_test.c, which includes this file once, after what the rows
 * are made of.
 */
#ifndef SLUICE_TESTS_SQS_WIRE_ROWS_H
#define SLUICE_TESTS_SQS_WIRE_ROWS_H

#define NAME_TEXT                                                                                  \
    "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
#define FIFO_NAME_TEXT                                                                             \
    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, " \
    "must end with .fifo suffix and be 1 to 80 in length"
#define SSE_TEXT                                                                                   \
    "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS " \
    "SSE or SQS SSE."
#define CHARACTERS_TEXT                                                                            \
    "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | "   \
    "#xE000 to #xFFFD | #x10000 to #x10FFFF"
#define DEDUPLICATION_TEXT                                                                         \
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId "    \
    "provided explicitly"
#define ENTRY_ID_TEXT                                                                              \
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can "  \
    "be at most 80 letters long."
#define ID_TEXT(value, parameter)                                                                  \
    "Value " value " for parameter " parameter " is invalid. Reason: " parameter                   \
    " can only include alphanumeric and punctuation characters. 1 to 128 in length."
#define ARN_TEXT(parameter)                                                                        \
    "You must use this format to specify the " parameter                                           \
    ": arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
#define NO_RESOURCE_TEXT(parameter)                                                                \
    "The resource that you specified for the " parameter " parameter doesn't exist."

/* A JSON text inside a JSON text. */
#define REDRIVE_IN(name, count)                                                                    \
    "{\\\"deadLetterTargetArn\\\":\\\"" ARN(name) "\\\",\\\"maxReceiveCount\\\":" count "}"
#define REDRIVE_SHOWN(name, count)                                                                 \
    "{\"deadLetterTargetArn\":\"" ARN(name) "\",\"maxReceiveCount\":" count "}"
#define SET_REDRIVE(policy)                                                                        \
    "{\"QueueUrl\":\"jobs\",\"Attributes\":{\"RedrivePolicy\":\"" policy "\"}}"
#define REDRIVE_TEXT(policy, reason)                                                               \
    "Value " policy " for parameter RedrivePolicy is invalid. Reason: " reason

#define SET(attributes)        "{\"QueueUrl\":\"jobs\",\"Attributes\":{" attributes "}}"
#define SET_FIFO(attributes)   "{\"QueueUrl\":\"jobs.fifo\",\"Attributes\":{" attributes "}}"
#define SEND(members)          "{\"QueueUrl\":\"jobs\",\"MessageBody\":\"b\"," members "}"
#define SEND_FIFO(members)     "{\"QueueUrl\":\"jobs.fifo\",\"MessageBody\":\"b\"" members "}"
#define ATTRIBUTE(name, value) SEND("\"MessageAttributes\":{\"" name "\":{" value "}}")
#define RECEIVE(members)       "{\"QueueUrl\":\"jobs\"," members "}"
#define ENTRIES(entries)       "{\"QueueUrl\":\"jobs\",\"Entries\":[" entries "]}"
#define ENTRIES_FIFO(entries)  "{\"QueueUrl\":\"jobs.fifo\",\"Entries\":[" entries "]}"
#define PERMIT(members)        "{\"QueueUrl\":\"jobs\"," members "}"
#define ACCOUNT                "\"AWSAccountIds\":[\"111111111111\"]"

static const struct row rows[] = {
    /* ---- queues ---- */
    {"CreateQueue", "{}", MISSING, "The request must contain the parameter QueueName.", NULL, NULL},
    {"CreateQueue", "{\"QueueName\":\"a b\"}", INVALID, NAME_TEXT, NULL, NULL},
    {"CreateQueue", "{\"QueueName\":\"@x81@\"}", INVALID, NAME_TEXT, NULL, NULL},
    {"CreateQueue", "{\"QueueName\":\"new.fifo\"}", INVALID, NAME_TEXT, NULL, NULL},
    {"CreateQueue", "{\"QueueName\":\"new\",\"Attributes\":{\"FifoQueue\":\"true\"}}", INVALID,
     FIFO_NAME_TEXT, NULL, NULL},
    {"CreateQueue", "{\"QueueName\":\"a b.fifo\",\"Attributes\":{\"FifoQueue\":\"true\"}}", INVALID,
     FIFO_NAME_TEXT, NULL, NULL},
    {"CreateQueue", "{\"QueueName\":\"new\",\"Attributes\":{\"FifoQueue\":\"false\"}}",
     INVALID_NAME, "Unknown Attribute FifoQueue.", NULL, NULL},
    {"CreateQueue", "{\"QueueName\":\"jobs\",\"Attributes\":{\"VisibilityTimeout\":\"31\"}}",
     NAME_EXISTS,
     "A queue already exists with the same name and a different value for attribute "
     "VisibilityTimeout",
     NULL, NULL},
    {"CreateQueue", "{\"QueueName\":\"jobs\"}", DELETED_RECENTLY,
     "You must wait 60 seconds after deleting a queue before you can create another with the same "
     "name.",
     deleted_queue, NULL},
    {"CreateQueue", "{\"QueueName\":\"new\",\"Attributes\":{\"Colour\":\"red\"}}", INVALID_NAME,
     "Unknown Attribute Colour.", NULL, NULL},
    {"CreateQueue", "{\"QueueName\":\"new\",\"tags\":{@tags51@}}", INVALID,
     "Too many tags added for queue new.", NULL, NULL},
    {"ListQueues", "{\"MaxResults\":1001}", INVALID,
     "Value 1001 for parameter MaxResults is invalid. Reason: MaxResults must be an integer "
     "between 1 and 1000.",
     NULL, NULL},
    {"ListQueues", "{\"MaxResults\":1,\"NextToken\":\"#\"}", INVALID,
     "Invalid or expired next token.", NULL, NULL},
    {"ListDeadLetterSourceQueues", "{\"QueueUrl\":\"dead\",\"MaxResults\":0}", INVALID,
     "Value 0 for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 "
     "and 1000.",
     NULL, NULL},
    {"PurgeQueue", "{\"QueueUrl\":\"jobs\"}", PURGE_IN_PROGRESS,
     "Only one PurgeQueue operation on jobs is allowed every 60 seconds.", purged, NULL},

    /* ---- attributes of queues ---- */
    {"GetQueueAttributes", "{\"QueueUrl\":\"jobs\",\"AttributeNames\":[\"All\",\"Colour\"]}",
     INVALID_NAME, "Unknown Attribute Colour.", NULL, NULL},
    {"SetQueueAttributes", SET("\"Colour\":\"red\""), INVALID_NAME, "Unknown Attribute Colour.",
     NULL, NULL},
    {"SetQueueAttributes", SET("\"QueueArn\":\"x\""), INVALID_NAME, "Unknown Attribute QueueArn.",
     NULL, NULL},
    {"SetQueueAttributes", SET("\"FifoQueue\":\"true\""), INVALID_NAME,
     "Unknown Attribute FifoQueue.", NULL, NULL},
    {"SetQueueAttributes", SET("\"ContentBasedDeduplication\":\"true\""), INVALID_NAME,
     "Unknown Attribute ContentBasedDeduplication.", NULL, NULL},
    {"SetQueueAttributes", SET("\"DeduplicationScope\":\"queue\""), INVALID_NAME,
     "You can specify the DeduplicationScope only when FifoQueue is set to true.", NULL, NULL},
    {"SetQueueAttributes", SET("\"FifoThroughputLimit\":\"perQueue\""), INVALID_NAME,
     "You can specify the FifoThroughputLimit only when FifoQueue is set to true.", NULL, NULL},
    {"SetQueueAttributes", SET_FIFO("\"FifoQueue\":\"false\""), INVALID_VALUE,
     "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
     NULL, NULL},
    {"SetQueueAttributes", SET_FIFO("\"FifoThroughputLimit\":\"perMessageGroupId\""), INVALID_VALUE,
     "Invalid value for the parameter FifoThroughputLimit. Reason: The perMessageGroupId value is "
     "allowed only when the value for DeduplicationScope is messageGroup.",
     NULL, NULL},
    {"SetQueueAttributes", SET("\"KmsMasterKeyId\":\"k\",\"SqsManagedSseEnabled\":\"true\""),
     INVALID_NAME, SSE_TEXT, NULL, NULL},
    {"SetQueueAttributes", SET("\"VisibilityTimeout\":\"43201\""), INVALID_VALUE,
     "Invalid value for the parameter VisibilityTimeout.", NULL, NULL},
    {"SetQueueAttributes", SET("\"Policy\":\"no\""), INVALID_VALUE,
     "Invalid value for the parameter Policy.", NULL, NULL},
    {"SetQueueAttributes", SET_REDRIVE(REDRIVE_IN("dead", "1001")), INVALID,
     REDRIVE_TEXT(REDRIVE_SHOWN("dead", "1001"), "Invalid value for maxReceiveCount: 1001, valid "
                                                 "values are from 1 to 1000 both inclusive."),
     NULL, NULL},
    {"SetQueueAttributes", SET_REDRIVE(REDRIVE_IN("nosuch", "1")), INVALID,
     REDRIVE_TEXT(REDRIVE_SHOWN("nosuch", "1"), "Dead letter target does not exist."), NULL, NULL},
    {"SetQueueAttributes", SET_REDRIVE(REDRIVE_IN("jobs.fifo", "1")), INVALID,
     REDRIVE_TEXT(REDRIVE_SHOWN("jobs.fifo", "1"),
                  "Dead-letter queue must be same type of queue as the source."),
     NULL, NULL},
    {"SetQueueAttributes", SET_REDRIVE(REDRIVE_IN("dead", "1")), INVALID,
     REDRIVE_TEXT(REDRIVE_SHOWN("dead", "1"), "The dead-letter queue's RedriveAllowPolicy does not "
                                              "allow this source."),
     denies_redrive, NULL},
    {"SetQueueAttributes", SET_REDRIVE("no"), INVALID,
     REDRIVE_TEXT("no", "Redrive policy is not a valid JSON map."), NULL, NULL},
    {"SetQueueAttributes",
     SET("\"RedriveAllowPolicy\":\"{\\\"redrivePermission\\\":\\\"byQueue\\\"}\""), INVALID,
     "Value {\"redrivePermission\":\"byQueue\"} for parameter RedriveAllowPolicy is invalid. "
     "Reason: byQueue needs 1 to 10 sourceQueueArns.",
     NULL, NULL},

    /* ---- tags and permissions ---- */
    {"TagQueue", "{\"QueueUrl\":\"jobs\",\"Tags\":{}}", MISSING,
     "The request must contain the parameter Tags.", NULL, NULL},
    {"TagQueue", "{\"QueueUrl\":\"jobs\",\"Tags\":{@tags51@}}", INVALID,
     "Too many tags added for queue jobs.", NULL, NULL},
    {"TagQueue", "{\"QueueUrl\":\"jobs\",\"Tags\":{\"\":\"v\"}}", INVALID,
     "Tag keys must be between 1 and 128 characters in length.", NULL, NULL},
    {"TagQueue", "{\"QueueUrl\":\"jobs\",\"Tags\":{\"k\":\"@x257@\"}}", INVALID,
     "Tag values must be between 0 and 256 characters in length.", NULL, NULL},
    {"UntagQueue", "{\"QueueUrl\":\"jobs\"}", MISSING,
     "The request must contain the parameter TagKeys.", NULL, NULL},
    {"AddPermission", PERMIT(ACCOUNT ",\"Actions\":[\"*\"]"), MISSING,
     "The request must contain the parameter Label.", NULL, NULL},
    {"AddPermission", PERMIT("\"Label\":\"l\"," ACCOUNT), MISSING,
     "The request must contain the parameter Actions.", NULL, NULL},
    {"AddPermission",
     PERMIT("\"Label\":\"l\"," ACCOUNT ",\"Actions\":[\"*\",\"*\",\"*\",\"*\",\"*\",\"*\",\"*\","
            "\"*\"]"),
     OVER_LIMIT, "8 Actions were found, maximum allowed is 7.", NULL, NULL},
    {"AddPermission", PERMIT("\"Label\":\"l\"," ACCOUNT ",\"Actions\":[\"DeleteQueue\"]"), INVALID,
     "Value SQS:DeleteQueue for parameter ActionName is invalid. Reason: Only the queue owner is "
     "allowed to invoke this action.",
     NULL, NULL},
    {"AddPermission", PERMIT("\"Label\":\"l\",\"Actions\":[\"*\"]"), INVALID,
     "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify.", NULL, NULL},
    {"AddPermission", PERMIT("\"Label\":\"l\"," ACCOUNT ",\"Actions\":[\"SendMessage\"]"), INVALID,
     "Value l for parameter Label is invalid. Reason: Already exists.", labelled, NULL},
    {"RemovePermission", PERMIT("\"Label\":\"other\""), INVALID,
     "Value other for parameter Label is invalid. Reason: can't find label.", labelled, NULL},

    /* ---- sending ---- */
    {"SendMessage", "{\"QueueUrl\":\"jobs\"}", MISSING,
     "The request must contain the parameter MessageBody.", NULL, NULL},
    {"SendMessage", "{\"QueueUrl\":\"jobs\",\"MessageBody\":\"\"}", MISSING,
     "The request must contain the parameter MessageBody.", NULL, NULL},
    {"SendMessage", "{\"QueueUrl\":\"jobs\",\"MessageBody\":\"@x1048577@\"}", INVALID,
     "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
     NULL, NULL},
    {"SendMessage",
     "{\"QueueUrl\":\"jobs\",\"MessageBody\":\"@x1012@\",\"MessageAttributes\":{\"name\":{"
     "\"DataType\":\"String\",\"StringValue\":\"abc\"}}}",
     INVALID,
     "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.",
     small_messages, NULL},
    {"SendMessage", "{\"QueueUrl\":\"jobs\",\"MessageBody\":\"a\\u0001b\"}", INVALID_CONTENTS,
     CHARACTERS_TEXT, NULL, NULL},
    {"SendMessage", "{\"QueueUrl\":\"jobs\",\"MessageBody\":\"a\\uffffb\"}", INVALID_CONTENTS,
     CHARACTERS_TEXT, NULL, NULL},
    {"SendMessage", SEND("\"DelaySeconds\":901"), INVALID,
     "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= "
     "900.",
     NULL, NULL},
    {"SendMessage", SEND("\"MessageGroupId\":\"\""), INVALID, ID_TEXT("", "MessageGroupId"), NULL,
     NULL},
    {"SendMessage", SEND("\"MessageGroupId\":\"a b\""), INVALID, ID_TEXT("a b", "MessageGroupId"),
     NULL, NULL},
    {"SendMessage", SEND("\"MessageDeduplicationId\":\"d\""), INVALID,
     "Value d for parameter MessageDeduplicationId is invalid. Reason: The request includes a "
     "parameter that is not valid for this queue type.",
     NULL, NULL},
    {"SendMessage", ATTRIBUTE("X", "\"DataType\":\"String\",\"StringValue\":\"\""), INVALID,
     "Message (user) attribute 'X' must contain a non-empty value of type 'String'.", NULL, NULL},
    {"SendMessage", ATTRIBUTE("X", "\"DataType\":\"String\",\"StringListValues\":[\"a\"]"),
     UNSUPPORTED, "Message attribute list values in SendMessage operation are not supported.", NULL,
     NULL},
    {"SendMessage", ATTRIBUTE("X", "\"DataType\":\"Colour\",\"StringValue\":\"a\""), INVALID,
     "The type of message (user) attribute 'X' is invalid. You must use only the following "
     "supported type prefixes: Binary, Number, String.",
     NULL, NULL},
    {"SendMessage", ATTRIBUTE("X", "\"DataType\":\"Number\",\"StringValue\":\"a\""), INVALID,
     "Can't cast the value of message (user) attribute 'X' to a number.", NULL, NULL},
    {"SendMessage", SEND_FIFO(",\"MessageDeduplicationId\":\"d\""), MISSING,
     "The request must contain the parameter MessageGroupId.", NULL, NULL},
    {"SendMessage", SEND_FIFO(",\"MessageGroupId\":\"g\""), INVALID, DEDUPLICATION_TEXT, NULL,
     NULL},
    {"SendMessage", SEND_FIFO(",\"MessageGroupId\":\"g\",\"MessageDeduplicationId\":\"@x129@\""),
     INVALID, ID_TEXT("@x129@", "MessageDeduplicationId"), NULL, NULL},
    {"SendMessage",
     SEND_FIFO(",\"MessageGroupId\":\"g\",\"MessageDeduplicationId\":\"d\",\"DelaySeconds\":2"),
     INVALID,
     "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is "
     "not valid for this queue type.",
     NULL, NULL},
    {"SendMessage", SEND("\"DelaySeconds\":0"), UNAVAILABLE,
     "The disk of the queue is full: no message is accepted until there is room again.", disk_full,
     NULL},

    /* ---- batches ---- */
    {"SendMessageBatch", ENTRIES("@entries11@"), TOO_MANY,
     "Maximum number of entries per request are 10. You have sent 11.", NULL, NULL},
    {"SendMessageBatch", ENTRIES("@entries20@"), TOO_MANY,
     "Maximum number of entries per request are 10. You have sent 20.", NULL, NULL},
    {"SendMessageBatch", ENTRIES(""), EMPTY_BATCH,
     "There should be at least one SendMessageBatchRequestEntry in the request.", NULL, NULL},
    {"DeleteMessageBatch", ENTRIES(""), EMPTY_BATCH,
     "There should be at least one DeleteMessageBatchRequestEntry in the request.", NULL, NULL},
    {"ChangeMessageVisibilityBatch", ENTRIES(""), EMPTY_BATCH,
     "There should be at least one ChangeMessageVisibilityBatchRequestEntry in the request.", NULL,
     NULL},
    {"SendMessageBatch", ENTRIES("{\"Id\":\"a b\",\"MessageBody\":\"b\"}"), INVALID_ENTRY_ID,
     ENTRY_ID_TEXT, NULL, NULL},
    {"DeleteMessageBatch", ENTRIES("{\"Id\":\"@x81@\",\"ReceiptHandle\":\"h\"}"), INVALID_ENTRY_ID,
     ENTRY_ID_TEXT, NULL, NULL},
    {"SendMessageBatch",
     ENTRIES("{\"Id\":\"a\",\"MessageBody\":\"b\"},{\"Id\":\"a\",\"MessageBody\":\"c\"}"),
     IDS_NOT_DISTINCT, "Id a repeated.", NULL, NULL},
    {"SendMessageBatch",
     ENTRIES("{\"Id\":\"a\",\"MessageBody\":\"@x524288@\"},{\"Id\":\"b\",\"MessageBody\":"
             "\"@x524289@\"}"),
     TOO_LONG, "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.",
     NULL, NULL},
    {"SendMessageBatch", ENTRIES_FIFO("{\"Id\":\"a\",\"MessageBody\":\"b\"}"), INVALID,
     "The request must contain the parameter MessageGroupId.", NULL, NULL},
    {"SendMessageBatch",
     ENTRIES_FIFO("{\"Id\":\"a\",\"MessageBody\":\"b\",\"MessageGroupId\":\"g\"}"), INVALID,
     DEDUPLICATION_TEXT, NULL, NULL},
    {"SendMessageBatch", ENTRIES("{\"Id\":\"a\"}"), MISSING,
     "The request must contain the parameter SendMessageBatchRequestEntry.1.MessageBody.", NULL,
     NULL},
    /* one entry alone */
    {"SendMessageBatch",
     ENTRIES("{\"Id\":\"a\",\"MessageBody\":\"b\"},{\"Id\":\"b\",\"MessageBody\":\"\\u0002\"}"),
     INVALID_CONTENTS, CHARACTERS_TEXT, NULL, "b"},
    {"SendMessageBatch", ENTRIES("{\"Id\":\"a\",\"MessageBody\":\"@x1025@\"}"), INVALID,
     "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes.",
     small_messages, "a"},
    {"SendMessageBatch", ENTRIES("{\"Id\":\"a\",\"MessageBody\":\"\"}"), MISSING,
     "The request must contain the parameter MessageBody.", NULL, "a"},
    {"DeleteMessageBatch", ENTRIES("{\"Id\":\"a\",\"ReceiptHandle\":\"garbage\"}"), HANDLE_INVALID,
     "The input receipt handle \"garbage\" is not a valid receipt handle.", NULL, "a"},
    {"ChangeMessageVisibilityBatch", ENTRIES("{\"Id\":\"a\",\"ReceiptHandle\":\"@H@\"}"), MISSING,
     "The request must contain the parameter VisibilityTimeout.", received, "a"},
    {"DeleteMessageBatch", ENTRIES_FIFO("{\"Id\":\"a\",\"ReceiptHandle\":\"@H@\"}"), INVALID,
     "Value @H@ for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
     fifo_expired, "a"},

    /* ---- receiving ---- */
    {"ReceiveMessage", RECEIVE("\"MaxNumberOfMessages\":11"), INVALID,
     "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if "
     "provided.",
     NULL, NULL},
    {"ReceiveMessage", RECEIVE("\"WaitTimeSeconds\":21"), INVALID,
     "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if "
     "provided.",
     NULL, NULL},
    {"ReceiveMessage", RECEIVE("\"VisibilityTimeout\":43201"), INVALID,
     "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200, "
     "if provided.",
     NULL, NULL},
    {"ReceiveMessage", RECEIVE("\"AttributeNames\":[\"Colour\"]"), INVALID_NAME,
     "Unknown Attribute Colour.", NULL, NULL},
    {"ReceiveMessage", RECEIVE("\"MessageSystemAttributeNames\":[\"Colour\"]"), INVALID_NAME,
     "Unknown Attribute Colour.", NULL, NULL},
    {"ReceiveMessage", RECEIVE("\"ReceiveRequestAttemptId\":\"r\""), INVALID,
     "Value r for parameter ReceiveRequestAttemptId is invalid. Reason: The request includes a "
     "parameter that is not valid for this queue type.",
     NULL, NULL},
    {"ReceiveMessage", "{\"QueueUrl\":\"jobs.fifo\",\"ReceiveRequestAttemptId\":\"a b\"}", INVALID,
     ID_TEXT("a b", "ReceiveRequestAttemptId"), NULL, NULL},
    {"ReceiveMessage", "{\"QueueUrl\":\"jobs\"}", OVER_LIMIT,
     "Too many messages in flight: 120000 is the maximum of a queue.", in_flight_limit, NULL},

    /* ---- handles ---- */
    {"DeleteMessage", "{\"QueueUrl\":\"jobs\"}", MISSING,
     "The request must contain the parameter ReceiptHandle.", NULL, NULL},
    {"DeleteMessage", "{\"QueueUrl\":\"jobs\",\"ReceiptHandle\":\"garbage\"}", HANDLE_INVALID,
     "The input receipt handle \"garbage\" is not a valid receipt handle.", NULL, NULL},
    {"DeleteMessage", "{\"QueueUrl\":\"jobs.fifo\",\"ReceiptHandle\":\"@H@\"}", INVALID,
     "Value @H@ for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
     fifo_expired, NULL},
    {"DeleteMessage", "{\"QueueUrl\":\"dead\",\"ReceiptHandle\":\"@H@\"}", HANDLE_INVALID,
     "The input receipt handle \"@H@\" is not a valid receipt handle.", received, NULL},
    {"ChangeMessageVisibility", "{\"QueueUrl\":\"jobs\",\"ReceiptHandle\":\"@H@\"}", MISSING,
     "The request must contain the parameter VisibilityTimeout.", received, NULL},
    {"ChangeMessageVisibility",
     "{\"QueueUrl\":\"jobs\",\"ReceiptHandle\":\"garbage\",\"VisibilityTimeout\":1}",
     HANDLE_INVALID, "The input receipt handle \"garbage\" is not a valid receipt handle.", NULL,
     NULL},
    {"ChangeMessageVisibility",
     "{\"QueueUrl\":\"jobs\",\"ReceiptHandle\":\"@H@\",\"VisibilityTimeout\":43200}", INVALID,
     "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for "
     "the message is beyond the limit [43200 seconds]",
     received, NULL},
    {"ChangeMessageVisibility",
     "{\"QueueUrl\":\"jobs\",\"ReceiptHandle\":\"@H@\",\"VisibilityTimeout\":1}", INVALID,
     "Value @H@ for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not "
     "available for visibility timeout change.",
     deleted, NULL},

    /* ---- move tasks ---- */
    {"StartMessageMoveTask", "{}", MISSING, "The request must contain the parameter SourceArn.",
     NULL, NULL},
    {"StartMessageMoveTask", "{\"SourceArn\":\"dead\"}", INVALID, ARN_TEXT("SourceArn"), NULL,
     NULL},
    {"StartMessageMoveTask", "{\"SourceArn\":\"" ARN("dead") "\",\"DestinationArn\":\"jobs\"}",
     INVALID, ARN_TEXT("DestinationArn"), NULL, NULL},
    {"StartMessageMoveTask", "{\"SourceArn\":\"" ARN("nosuch") "\"}", NO_RESOURCE,
     NO_RESOURCE_TEXT("SourceArn"), NULL, NULL},
    {"StartMessageMoveTask",
     "{\"SourceArn\":\"" ARN("dead") "\",\"DestinationArn\":\"" ARN("nosuch") "\"}", NO_RESOURCE,
     NO_RESOURCE_TEXT("DestinationArn"), NULL, NULL},
    {"StartMessageMoveTask",
     "{\"SourceArn\":\"" ARN("dead") "\",\"DestinationArn\":\"" ARN("dead") "\"}", INVALID,
     "Source queue arn and destination queue arn cannot be the same.", NULL, NULL},
    {"StartMessageMoveTask",
     "{\"SourceArn\":\"" ARN("dead") "\",\"DestinationArn\":\"" ARN("jobs.fifo") "\"}", INVALID,
     "The source queue and destination queue must be of the same queue type.", NULL, NULL},
    {"StartMessageMoveTask", "{\"SourceArn\":\"" ARN("jobs") "\"}", INVALID,
     "Source queue must be configured as a Dead Letter Queue.", NULL, NULL},
    {"StartMessageMoveTask",
     "{\"SourceArn\":\"" ARN("dead") "\",\"MaxNumberOfMessagesPerSecond\":501}", INVALID,
     "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a number "
     "that's between 1 and 500.",
     NULL, NULL},
    {"StartMessageMoveTask", "{\"SourceArn\":\"" ARN("dead") "\"}", INVALID,
     "There is already a task running. Only one active task is allowed for a source queue arn at a "
     "given time.",
     moving, NULL},
    {"ListMessageMoveTasks", "{\"SourceArn\":\"" ARN("nosuch") "\"}", NO_RESOURCE,
     NO_RESOURCE_TEXT("SourceArn"), NULL, NULL},
    {"ListMessageMoveTasks", "{\"SourceArn\":\"" ARN("dead") "\",\"MaxResults\":11}", INVALID,
     "Value for parameter MaxResults is invalid. Reason: You must enter a number that's between 1 "
     "and 10.",
     NULL, NULL},
    {"CancelMessageMoveTask", "{}", MISSING, "The request must contain the parameter TaskHandle.",
     NULL, NULL},
    {"CancelMessageMoveTask", "{\"TaskHandle\":\"garbage\"}", INVALID,
     "Value for parameter TaskHandle is invalid.", NULL, NULL},
    {"CancelMessageMoveTask", "{\"TaskHandle\":\"@H@\"}", NO_RESOURCE,
     NO_RESOURCE_TEXT("SourceArn"), task_of_no_queue, NULL},
    {"CancelMessageMoveTask", "{\"TaskHandle\":\"@H@\"}", NO_RESOURCE, "Task does not exist.",
     unknown_task, NULL},
    {"CancelMessageMoveTask", "{\"TaskHandle\":\"@H@\"}", INVALID,
     "Only active tasks can be cancelled.", moved, NULL},
};

/* action: as the target names it */
static const struct row json_rows[] = {
    {"FooBar", "{}", INVALID_ACTION, "The action FooBar is not valid for this endpoint.", NULL,
     NULL},
    {"ListQueues", "[]", MALFORMED, "Start of a list found where a structure was expected.", NULL,
     NULL},
    {"SendMessage", "{\"QueueUrl\":\"jobs\",\"MessageBody\":5}", MALFORMED,
     "NUMBER_VALUE can not be converted to a String.", NULL, NULL},
    {"ReceiveMessage", "{\"QueueUrl\":\"jobs\",\"MaxNumberOfMessages\":\"5\"}", MALFORMED,
     "STRING_VALUE can not be converted to an Integer.", NULL, NULL},
    {"SendMessage", "{\"QueueUrl\":\"jobs\",\"MessageBody\":\"a\\u0000b\"}", INVALID_CONTENTS,
     CHARACTERS_TEXT, NULL, NULL},
};

/* action: the path; json: the form */
static const struct row form_rows[] = {
    {"/", "Action=FooBar", INVALID_ACTION, "The action FooBar is not valid for this endpoint.",
     NULL, NULL},
    {QUEUE_PATH, "Action=CreateQueue&QueueName=x", INVALID_ACTION,
     "The action CreateQueue is not valid for this endpoint.", NULL, NULL},
    {QUEUE_PATH, "Action=ListQueues", INVALID_ACTION,
     "The action ListQueues is not valid for this endpoint.", NULL, NULL},
    {"/", "Action=ReceiveMessage&QueueUrl=jobs&WaitTimeSeconds=x", MALFORMED,
     "The value of WaitTimeSeconds is not an Integer.", NULL, NULL},
    {"/", "Action=CreateQueue&QueueName=%zz", MALFORMED,
     "The request is not a valid URL-encoded form.", NULL, NULL},
};

/* ---- who may call ---- */

#define CREDENTIAL(id, region)                                                                     \
    "AWS4-HMAC-SHA256 Credential=" id "/20261123/" region                                          \
    "/sqs/aws4_request, SignedHeaders=host;x-amz-date, Signature="                                 \
    "0000000000000000000000000000000000000000000000000000000000000000"
#define ANONYMOUS_TEXT(reason)                                                                     \
    "User: anonymous is not authorized to perform: sqs:ListQueues on resource: arn:aws:sqs:"       \
    "us-east-1:000000000000:* because " reason

struct access_row {
    bool keys; /* the server has some */
    struct {
        const char *name, *value;
    } headers[3];
    struct row row;
};

static const struct access_row access_rows[] = {
    {false,
     {{"Origin", "http://evil.example"}},
     {"", "", ACCESS_DENIED,
      ANONYMOUS_TEXT("it comes from a web page (Origin, Referer or Sec-Fetch-Site header). Set "
                     "sqs_api.access_keys and sign the requests to allow it."),
      NULL, NULL}},
    {true,
     {{NULL, NULL}},
     {"", "", ACCESS_DENIED,
      ANONYMOUS_TEXT("the request has no Authorization header: sign it (Signature Version 4) with "
                     "one of sqs_api.access_keys."),
      NULL, NULL}},
    {true,
     {{"Authorization", "Basic dXNlcjpwYXNz"}},
     {"", "", INCOMPLETE,
      "Authorization header requires 'AWS4-HMAC-SHA256' with 'Credential', 'SignedHeaders' and "
      "'Signature' parameters.",
      NULL, NULL}},
    {true,
     {{"Authorization", CREDENTIAL("AKIDONE", "us-east-1")}},
     {"", "", INCOMPLETE, "The request needs an X-Amz-Date header of the form 20060102T150405Z.",
      NULL, NULL}},
    {true,
     {{"Authorization", CREDENTIAL("AKIDTWO", "us-east-1")}, {"X-Amz-Date", "20261123T120000Z"}},
     {"", "", UNKNOWN_CLIENT, "The security token included in the request is invalid.", NULL,
      NULL}},
    {true,
     {{"Authorization", CREDENTIAL("AKIDONE", "eu-west-1")}, {"X-Amz-Date", "20261123T120000Z"}},
     {"", "", BAD_SIGNATURE,
      "Credential should be scoped to a valid region, not 'eu-west-1': this server's region is "
      "'us-east-1'.",
      NULL, NULL}},
    {true,
     {{"Authorization", CREDENTIAL("AKIDONE", "us-east-1")}, {"X-Amz-Date", "20261123T120000Z"}},
     {"", "", BAD_SIGNATURE,
      "The request signature we calculated does not match the signature you provided. Check your "
      "AWS Secret Access Key and signing method. Consult the service documentation for details.",
      NULL, NULL}},
    {true,
     {{"Authorization", CREDENTIAL("AKIDONE", "us-east-1")}, {"X-Amz-Date", "20261123T114459Z"}},
     {"", "", BAD_SIGNATURE,
      "Signature expired: 20261123T114459Z is now earlier than 20261123T114500Z (20261123T120000Z "
      "- 15 min.)",
      NULL, NULL}},
};

#endif
