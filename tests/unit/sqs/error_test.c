/* Every error in its wire form, in both protocols. */
#include "sluice/base/buf.h"
#include "sluice/sqs/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define SQS   "com.amazonaws.sqs#"
#define CORAL "com.amazon.coral.service#"

/* Written down a second time on purpose: this is the wire, the table is ours. */
static const struct {
    enum sqs_error_code code;
    const char *type;
    int status;
    const char *query_code;
} rows[] = {
    {SQS_ERROR_QUEUE_DOES_NOT_EXIST, SQS "QueueDoesNotExist", 400,
     "AWS.SimpleQueueService.NonExistentQueue"},
    {SQS_ERROR_QUEUE_NAME_EXISTS, SQS "QueueNameExists", 400, "QueueAlreadyExists"},
    {SQS_ERROR_QUEUE_DELETED_RECENTLY, SQS "QueueDeletedRecently", 400,
     "AWS.SimpleQueueService.QueueDeletedRecently"},
    {SQS_ERROR_PURGE_QUEUE_IN_PROGRESS, SQS "PurgeQueueInProgress", 403,
     "AWS.SimpleQueueService.PurgeQueueInProgress"},
    {SQS_ERROR_RECEIPT_HANDLE_IS_INVALID, SQS "ReceiptHandleIsInvalid", 404,
     "ReceiptHandleIsInvalid"},
    {SQS_ERROR_MESSAGE_NOT_INFLIGHT, SQS "MessageNotInflight", 400,
     "AWS.SimpleQueueService.MessageNotInflight"},
    {SQS_ERROR_OVER_LIMIT, SQS "OverLimit", 403, "OverLimit"},
    {SQS_ERROR_REQUEST_THROTTLED, SQS "RequestThrottled", 403, "RequestThrottled"},
    {SQS_ERROR_UNSUPPORTED_OPERATION, SQS "UnsupportedOperation", 400,
     "AWS.SimpleQueueService.UnsupportedOperation"},
    {SQS_ERROR_EMPTY_BATCH_REQUEST, SQS "EmptyBatchRequest", 400,
     "AWS.SimpleQueueService.EmptyBatchRequest"},
    {SQS_ERROR_TOO_MANY_ENTRIES, SQS "TooManyEntriesInBatchRequest", 400,
     "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"},
    {SQS_ERROR_BATCH_ENTRY_IDS_NOT_DISTINCT, SQS "BatchEntryIdsNotDistinct", 400,
     "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"},
    {SQS_ERROR_INVALID_BATCH_ENTRY_ID, SQS "InvalidBatchEntryId", 400,
     "AWS.SimpleQueueService.InvalidBatchEntryId"},
    {SQS_ERROR_BATCH_REQUEST_TOO_LONG, SQS "BatchRequestTooLong", 400,
     "AWS.SimpleQueueService.BatchRequestTooLong"},
    {SQS_ERROR_INVALID_ATTRIBUTE_NAME, SQS "InvalidAttributeName", 400, "InvalidAttributeName"},
    {SQS_ERROR_INVALID_ATTRIBUTE_VALUE, SQS "InvalidAttributeValue", 400, "InvalidAttributeValue"},
    {SQS_ERROR_INVALID_MESSAGE_CONTENTS, SQS "InvalidMessageContents", 400,
     "InvalidMessageContents"},
    {SQS_ERROR_INVALID_ID_FORMAT, SQS "InvalidIdFormat", 400, "InvalidIdFormat"},
    {SQS_ERROR_RESOURCE_NOT_FOUND, SQS "ResourceNotFoundException", 404,
     "ResourceNotFoundException"},
    {SQS_ERROR_INVALID_ADDRESS, SQS "InvalidAddress", 404, "InvalidAddress"},
    {SQS_ERROR_INVALID_SECURITY, SQS "InvalidSecurity", 403, "InvalidSecurity"},
    {SQS_ERROR_KMS_ACCESS_DENIED, SQS "KmsAccessDenied", 400, "KMS.AccessDeniedException"},
    {SQS_ERROR_KMS_DISABLED, SQS "KmsDisabled", 400, "KMS.DisabledException"},
    {SQS_ERROR_KMS_INVALID_KEY_USAGE, SQS "KmsInvalidKeyUsage", 400,
     "KMS.InvalidKeyUsageException"},
    {SQS_ERROR_KMS_INVALID_STATE, SQS "KmsInvalidState", 400, "KMS.InvalidStateException"},
    {SQS_ERROR_KMS_NOT_FOUND, SQS "KmsNotFound", 400, "KMS.NotFoundException"},
    {SQS_ERROR_KMS_THROTTLED, SQS "KmsThrottled", 400, "KMS.ThrottlingException"},
    {SQS_ERROR_KMS_OPT_IN_REQUIRED, SQS "KmsOptInRequired", 403, "KMS.OptInRequired"},
    {SQS_ERROR_INVALID_PARAMETER_VALUE, CORAL "InvalidParameterValueException", 400,
     "InvalidParameterValue"},
    {SQS_ERROR_MISSING_PARAMETER, CORAL "MissingRequiredParameterException", 400,
     "MissingParameter"},
    {SQS_ERROR_MALFORMED_INPUT, CORAL "SerializationException", 400, "MalformedInput"},
    {SQS_ERROR_INVALID_ACTION, CORAL "UnknownOperationException", 400, "InvalidAction"},
    {SQS_ERROR_ACCESS_DENIED, CORAL "AccessDeniedException", 403, "AccessDenied"},
    {SQS_ERROR_UNRECOGNIZED_CLIENT, CORAL "UnrecognizedClientException", 403,
     "InvalidClientTokenId"},
    {SQS_ERROR_INVALID_SIGNATURE, CORAL "InvalidSignatureException", 403, "SignatureDoesNotMatch"},
    {SQS_ERROR_INCOMPLETE_SIGNATURE, CORAL "IncompleteSignatureException", 400,
     "IncompleteSignature"},
    {SQS_ERROR_INTERNAL_FAILURE, CORAL "InternalFailure", 500, "InternalFailure"},
    {SQS_ERROR_SERVICE_UNAVAILABLE, CORAL "ServiceUnavailable", 503, "ServiceUnavailable"},
};

static void every_error_has_its_wire_form(void **state)
{
    (void)state;
    assert_int_equal(SL_COUNT(rows), SQS_ERROR__COUNT - 1);
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const struct sqs_error_info *info = sqs_error_info(rows[i].code);
        assert_string_equal(info->json_type, rows[i].type);
        assert_string_equal(info->query_code, rows[i].query_code);
        assert_int_equal(info->http_status, rows[i].status);
        assert_int_equal(info->sender_fault, rows[i].status < 500);
        assert_int_equal(sqs_error_find(str_from(rows[i].type)), rows[i].code);
        assert_int_equal(sqs_error_find(str_from(rows[i].query_code)), rows[i].code);
        assert_int_equal(sqs_error_find(str_from(info->shape)), rows[i].code);

        struct sqs_error e;
        assert_int_equal(sqs_error_set(&e, rows[i].code, "a <%s>", "b&c"), rows[i].code);
        struct buf out;
        struct buf wanted;
        buf_init(&out, 4096);
        buf_init(&wanted, 4096);
        assert_int_equal(sqs_json_error(&e, &out), 0);
        buf_addf(&wanted, "{\"__type\":\"%s\",\"message\":\"a <b&c>\"}", rows[i].type);
        assert_string_equal(out.ptr, wanted.ptr);
        buf_reset(&out);
        buf_reset(&wanted);
        assert_int_equal(sqs_xml_error(&e, "id-1", &out), 0);
        buf_addf(&wanted,
                 "<?xml version=\"1.0\"?><ErrorResponse "
                 "xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><Error><Type>%s</Type>"
                 "<Code>%s</Code><Message>a &lt;b&amp;c&gt;</Message><Detail/></Error>"
                 "<RequestId>id-1</RequestId></ErrorResponse>",
                 rows[i].status < 500 ? "Sender" : "Receiver", rows[i].query_code);
        assert_string_equal(out.ptr, wanted.ptr);
        buf_done(&out);
        buf_done(&wanted);
    }
}

static void names_from_the_wire(void **state)
{
    (void)state;
    assert_int_equal(sqs_error_find(STR("QueueDoesNotExist")), SQS_ERROR_QUEUE_DOES_NOT_EXIST);
    assert_int_equal(sqs_error_find(STR("com.amazonaws.sqs#QueueDoesNotExist:http://x/")),
                     SQS_ERROR_QUEUE_DOES_NOT_EXIST);
    assert_int_equal(sqs_error_find(STR("AWS.SimpleQueueService.NonExistentQueue;Sender")),
                     SQS_ERROR_QUEUE_DOES_NOT_EXIST);
    assert_int_equal(sqs_error_find(STR("NeverHeardOf")), SQS_ERROR_INTERNAL_FAILURE);
    assert_int_equal(sqs_error_find(STR_NONE), SQS_ERROR_INTERNAL_FAILURE);
}

static void the_query_protocol_has_its_own_words(void **state)
{
    (void)state;
    struct sqs_error e;
    (void)sqs_error_set(&e, SQS_ERROR_QUEUE_DOES_NOT_EXIST, "The specified queue does not exist.");
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(sqs_xml_error(&e, "r", &out), 0);
    assert_non_null(
        strstr(out.ptr, "<Message>The specified queue does not exist for this wsdl version."));
    buf_done(&out);
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    char text[1200];
    for (size_t i = 0; i + 2 < sizeof(text); i += 2) {
        memcpy(text + i, "\xc3\xa9", 2);
    }
    text[sizeof(text) - 2] = '\0';
    struct sqs_error e;
    (void)sqs_error_set(&e, SQS_ERROR_INTERNAL_FAILURE, "%s", text);
    assert_true(str_is_utf8(str_from(e.message)));
    assert_int_equal(strlen(e.message), 510);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_wire_form),
        cmocka_unit_test(names_from_the_wire),
        cmocka_unit_test(the_query_protocol_has_its_own_words),
        cmocka_unit_test(long_texts_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
