#include "sluice/sqs/extended.h"

#include "sluice/base/json.h"

/* ["class", {"s3BucketName": "…", "s3Key": "…"}] of Java, and the same of the other languages. */
static bool is_pointer(const struct json_value *root)
{
    static const char *const classes[] = {"software.amazon.payloadoffloading.PayloadS3Pointer",
                                          "com.amazon.sqs.javamessaging.MessageS3Pointer"};
    const struct json_value *first = json_first(root);
    bool known = false;

    if (json_type(root) != JSON_ARRAY || json_count(root) != 2) {
        return false;
    }
    for (size_t i = 0; i < SL_COUNT(classes); i++) {
        known = known || str_equal(json_string(first), str_from(classes[i]));
    }
    const struct json_value *where = json_next(first);
    return known && json_string(json_get(where, "s3BucketName")).len > 0 &&
           json_string(json_get(where, "s3Key")).len > 0;
}

bool sqs_extended_is_pointer(struct str body, const struct sqs_attributes *attributes)
{
    bool marked = false;
    struct json json;

    for (uint32_t i = 0; attributes != NULL && i < attributes->count; i++) {
        struct str name = attributes->items[i].name;
        marked = marked || str_equal(name, STR("ExtendedPayloadSize")) ||
                 str_equal(name, STR("SQSLargePayloadSize"));
    }
    if (!marked || json_parse(&json, body, JSON_STRICT, NULL) != 0) {
        return false;
    }
    bool found = is_pointer(json.root);
    json_done(&json);
    return found;
}
