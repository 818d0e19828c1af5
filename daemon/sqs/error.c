#include "sluice/sqs/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAMESPACE_SQS   "com.amazonaws.sqs#"
#define NAMESPACE_CORAL "com.amazon.coral.service#"

static const struct sqs_error_info infos[SQS_ERROR__COUNT] = {[SQS_OK] = {"", "", "", 200, false},
#define XX(name, shape, status, query, ns, sender)                                                 \
    [SQS_ERROR_##name] = {shape, NAMESPACE_##ns shape, query, status, (sender) != 0},
                                                              SQS_ERROR_MAP(XX)
#undef XX
};

const struct sqs_error_info *sqs_error_info(enum sqs_error_code code)
{
    SL_ASSERT((int)code >= 0 && code < SQS_ERROR__COUNT);
    return &infos[code];
}

/* "com.amazonaws.sqs#QueueDoesNotExist:http://…" and "AWS.X;Sender" come down to their name. */
static struct str bare_name(struct str name)
{
    for (size_t i = name.len; i > 0; i--) {
        if (name.ptr[i - 1] == '#') {
            name.ptr += i;
            name.len -= i;
            break;
        }
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == ':' || name.ptr[i] == ';') {
            name.len = i;
        }
    }
    return name;
}

enum sqs_error_code sqs_error_find(struct str name)
{
    name = bare_name(name);
    for (int i = 1; i < SQS_ERROR__COUNT; i++) {
        if (str_equal(name, str_from(infos[i].shape)) ||
            str_equal(name, str_from(infos[i].query_code))) {
            return (enum sqs_error_code)i;
        }
    }
    return SQS_ERROR_INTERNAL_FAILURE;
}

int sqs_error_set(struct sqs_error *e, enum sqs_error_code code, const char *format, ...)
{
    e->code = code;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(e->message, sizeof(e->message), format, args);
    va_end(args);
    /* The text may quote the caller: never leave half a character at the cut. */
    e->message[str_utf8_prefix(str_from(e->message))] = '\0';
    return (int)code;
}
