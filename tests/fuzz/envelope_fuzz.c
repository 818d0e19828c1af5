/* rooms: sqs base */
/*
 * What senders put into messages: envelopes of SNS, pointers of the Extended Client, and traces of
 * X-Ray. Each is tried on the whole input.
 */
#include "fuzz.h"

#include "sluice/base/trace_context.h"
#include "sluice/sqs/extended.h"
#include "sluice/sqs/sns.h"

#include <string.h>

#define ARENA_MORE_BYTES ((size_t)16 << 10)

static void check_envelope(struct str body)
{
    struct sns_envelope envelope;
    struct arena arena;

    arena_init(&arena, 4 * body.len + ARENA_MORE_BYTES);
    int error = sns_unwrap(body, &arena, &envelope);
    SL_ASSERT(error == 0 || error == ERR_NOT_FOUND); /* there is room for any envelope */
    for (uint32_t i = 0; error == 0 && i < envelope.attributes.count; i++) {
        const struct sqs_attribute *a = &envelope.attributes.items[i];
        SL_ASSERT(a->name.ptr != NULL && a->data_type.ptr != NULL);
        SL_ASSERT((a->string_value.ptr != NULL) != (a->binary_value.ptr != NULL));
        SL_ASSERT(a->string_value.len + a->binary_value.len <= body.len);
    }
    if (error == 0) {
        SL_ASSERT(envelope.message.ptr != NULL && envelope.message.len <= body.len);
        (void)sqs_extended_is_pointer(envelope.message, &envelope.attributes);
    }
    arena_done(&arena);
}

static void check_pointer(struct str body)
{
    struct sqs_attribute item = {
        .name = STR("ExtendedPayloadSize"), .data_type = STR("Number"), .string_value = STR("1")};
    const struct sqs_attributes marked = {.items = &item, .count = 1, .set = true};

    SL_ASSERT(!sqs_extended_is_pointer(body, NULL));
    SL_ASSERT(!sqs_extended_is_pointer(body, &marked) || body.ptr[body.len - 1] != '}');
}

/* What is read is written as what is read. */
static void check_trace(struct str header)
{
    struct trace_context trace, again;
    char text[TRACE_XRAY_LEN + 1];

    if (trace_context_parse_xray(header, &trace) == 0) {
        trace_context_format_xray(&trace, text);
        SL_ASSERT(strlen(text) == TRACE_XRAY_LEN);
        SL_ASSERT(trace_context_parse_xray(str_from(text), &again) == 0);
        SL_ASSERT(memcmp(trace.trace_id, again.trace_id, sizeof(trace.trace_id)) == 0);
        SL_ASSERT(memcmp(trace.span_id, again.span_id, sizeof(trace.span_id)) == 0);
        SL_ASSERT(trace.flags == again.flags);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};

    check_envelope(input);
    check_pointer(input);
    check_trace(input);
    return 0;
}
