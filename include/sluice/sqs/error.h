/*
 * error: the errors of SQS in their exact wire form: JSON __type, HTTP status, Query code, side.
 */
#ifndef SLUICE_SQS_ERROR_H
#define SLUICE_SQS_ERROR_H

#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <stdbool.h>

/* XX(NAME, "Shape", http status, "query code", namespace SQS|CORAL, sender fault 1|0) */
#define SQS_ERROR_MAP(XX)                                                                          \
    XX(QUEUE_DOES_NOT_EXIST, "QueueDoesNotExist", 400, "AWS.SimpleQueueService.NonExistentQueue",  \
       SQS, 1)                                                                                     \
    XX(QUEUE_NAME_EXISTS, "QueueNameExists", 400, "QueueAlreadyExists", SQS, 1)                    \
    XX(QUEUE_DELETED_RECENTLY, "QueueDeletedRecently", 400,                                        \
       "AWS.SimpleQueueService.QueueDeletedRecently", SQS, 1)                                      \
    XX(PURGE_QUEUE_IN_PROGRESS, "PurgeQueueInProgress", 403,                                       \
       "AWS.SimpleQueueService.PurgeQueueInProgress", SQS, 1)                                      \
    XX(RECEIPT_HANDLE_IS_INVALID, "ReceiptHandleIsInvalid", 404, "ReceiptHandleIsInvalid", SQS, 1) \
    XX(MESSAGE_NOT_INFLIGHT, "MessageNotInflight", 400,                                            \
       "AWS.SimpleQueueService.MessageNotInflight", SQS, 1)                                        \
    XX(OVER_LIMIT, "OverLimit", 403, "OverLimit", SQS, 1)                                          \
    XX(REQUEST_THROTTLED, "RequestThrottled", 403, "RequestThrottled", SQS, 1)                     \
    XX(UNSUPPORTED_OPERATION, "UnsupportedOperation", 400,                                         \
       "AWS.SimpleQueueService.UnsupportedOperation", SQS, 1)                                      \
    XX(EMPTY_BATCH_REQUEST, "EmptyBatchRequest", 400, "AWS.SimpleQueueService.EmptyBatchRequest",  \
       SQS, 1)                                                                                     \
    XX(TOO_MANY_ENTRIES, "TooManyEntriesInBatchRequest", 400,                                      \
       "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", SQS, 1)                              \
    XX(BATCH_ENTRY_IDS_NOT_DISTINCT, "BatchEntryIdsNotDistinct", 400,                              \
       "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", SQS, 1)                                  \
    XX(INVALID_BATCH_ENTRY_ID, "InvalidBatchEntryId", 400,                                         \
       "AWS.SimpleQueueService.InvalidBatchEntryId", SQS, 1)                                       \
    XX(BATCH_REQUEST_TOO_LONG, "BatchRequestTooLong", 400,                                         \
       "AWS.SimpleQueueService.BatchRequestTooLong", SQS, 1)                                       \
    XX(INVALID_ATTRIBUTE_NAME, "InvalidAttributeName", 400, "InvalidAttributeName", SQS, 1)        \
    XX(INVALID_ATTRIBUTE_VALUE, "InvalidAttributeValue", 400, "InvalidAttributeValue", SQS, 1)     \
    XX(INVALID_MESSAGE_CONTENTS, "InvalidMessageContents", 400, "InvalidMessageContents", SQS, 1)  \
    XX(INVALID_ID_FORMAT, "InvalidIdFormat", 400, "InvalidIdFormat", SQS, 1)                       \
    XX(RESOURCE_NOT_FOUND, "ResourceNotFoundException", 404, "ResourceNotFoundException", SQS, 1)  \
    XX(INVALID_ADDRESS, "InvalidAddress", 404, "InvalidAddress", SQS, 1)                           \
    XX(INVALID_SECURITY, "InvalidSecurity", 403, "InvalidSecurity", SQS, 1)                        \
    XX(KMS_ACCESS_DENIED, "KmsAccessDenied", 400, "KMS.AccessDeniedException", SQS, 1)             \
    XX(KMS_DISABLED, "KmsDisabled", 400, "KMS.DisabledException", SQS, 1)                          \
    XX(KMS_INVALID_KEY_USAGE, "KmsInvalidKeyUsage", 400, "KMS.InvalidKeyUsageException", SQS, 1)   \
    XX(KMS_INVALID_STATE, "KmsInvalidState", 400, "KMS.InvalidStateException", SQS, 1)             \
    XX(KMS_NOT_FOUND, "KmsNotFound", 400, "KMS.NotFoundException", SQS, 1)                         \
    XX(KMS_THROTTLED, "KmsThrottled", 400, "KMS.ThrottlingException", SQS, 1)                      \
    XX(KMS_OPT_IN_REQUIRED, "KmsOptInRequired", 403, "KMS.OptInRequired", SQS, 1)                  \
    XX(INVALID_PARAMETER_VALUE, "InvalidParameterValueException", 400, "InvalidParameterValue",    \
       CORAL, 1)                                                                                   \
    XX(MISSING_PARAMETER, "MissingRequiredParameterException", 400, "MissingParameter", CORAL, 1)  \
    XX(MALFORMED_INPUT, "SerializationException", 400, "MalformedInput", CORAL, 1)                 \
    XX(INVALID_ACTION, "UnknownOperationException", 400, "InvalidAction", CORAL, 1)                \
    XX(ACCESS_DENIED, "AccessDeniedException", 403, "AccessDenied", CORAL, 1)                      \
    XX(UNRECOGNIZED_CLIENT, "UnrecognizedClientException", 403, "InvalidClientTokenId", CORAL, 1)  \
    XX(INVALID_SIGNATURE, "InvalidSignatureException", 403, "SignatureDoesNotMatch", CORAL, 1)     \
    XX(INCOMPLETE_SIGNATURE, "IncompleteSignatureException", 400, "IncompleteSignature", CORAL, 1) \
    XX(INTERNAL_FAILURE, "InternalFailure", 500, "InternalFailure", CORAL, 0)                      \
    XX(SERVICE_UNAVAILABLE, "ServiceUnavailable", 503, "ServiceUnavailable", CORAL, 0)

enum sqs_error_code {
    SQS_OK = 0,
#define XX(name, shape, status, query, ns, sender) SQS_ERROR_##name,
    SQS_ERROR_MAP(XX)
#undef XX
        SQS_ERROR__COUNT
};

/* An error with its message, caller-owned; code SQS_OK: none. */
struct sqs_error {
    enum sqs_error_code code;
    char message[512];
};

struct sqs_error_info {
    const char *shape;     /* "QueueDoesNotExist" */
    const char *json_type; /* "com.amazonaws.sqs#QueueDoesNotExist" */
    const char *query_code;
    int http_status;
    bool sender_fault;
};
const struct sqs_error_info *sqs_error_info(enum sqs_error_code code);
/* By "__type" (namespace ignored) or query code, for the client; SQS_ERROR_INTERNAL_FAILURE when
 * unknown. */
enum sqs_error_code sqs_error_find(struct str name);
/* Fills *e and returns code. */
int sqs_error_set(struct sqs_error *e, enum sqs_error_code code, const char *format, ...)
    SL_PRINTF(3, 4);

#endif
