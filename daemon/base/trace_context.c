#include "sluice/base/trace_context.h"

#include "sluice/base/digest.h"

#include <stdio.h>
#include <string.h>

#define FLAG_SAMPLED 0x01
#define FLAG_RANDOM  0x02 /* Trace Context Level 2: the trace id is random */

static bool is_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

/* The part of fixed length at offset, lower-case hexadecimal. */
static int parse_hex(struct str s, size_t offset, uint8_t *out, size_t out_len)
{
    struct str part = {s.ptr + offset, 2 * out_len};
    for (size_t i = 0; i < part.len; i++) {
        if (part.ptr[i] >= 'A' && part.ptr[i] <= 'F') {
            return ERR_SYNTAX;
        }
    }
    return digest_from_hex(part, out, out_len);
}

int trace_context_parse(struct str s, struct trace_context *ret)
{
    struct trace_context context;
    uint8_t version = 0;
    if (s.len < TRACE_PARENT_LEN || s.ptr[2] != '-' || s.ptr[35] != '-' || s.ptr[52] != '-' ||
        parse_hex(s, 0, &version, 1) != 0 ||
        parse_hex(s, 3, context.trace_id, sizeof(context.trace_id)) != 0 ||
        parse_hex(s, 36, context.span_id, sizeof(context.span_id)) != 0 ||
        parse_hex(s, 53, &context.flags, 1) != 0) {
        return ERR_SYNTAX;
    }
    /* A later version may have more after another dash, version 00 may not. */
    bool more = s.len > TRACE_PARENT_LEN;
    if (version == 0xff || (more && (version == 0 || s.ptr[TRACE_PARENT_LEN] != '-'))) {
        return ERR_SYNTAX;
    }
    if (is_zero(context.trace_id, sizeof(context.trace_id)) ||
        is_zero(context.span_id, sizeof(context.span_id))) {
        return ERR_SYNTAX;
    }
    /* Flags that are not defined must not be passed on. */
    context.flags &= FLAG_SAMPLED | FLAG_RANDOM;
    *ret = context;
    return 0;
}

void trace_context_format(const struct trace_context *context, char out[TRACE_PARENT_LEN + 1])
{
    out[0] = '0';
    out[1] = '0';
    out[2] = '-';
    digest_hex(context->trace_id, sizeof(context->trace_id), out + 3);
    out[35] = '-';
    digest_hex(context->span_id, sizeof(context->span_id), out + 36);
    out[52] = '-';
    digest_hex(&context->flags, 1, out + 53);
}

static void random_id(uint8_t *out, size_t len)
{
    do {
        digest_random(out, len);
    } while (is_zero(out, len));
}

static int parse_root(struct str root, struct trace_context *ret)
{
    if (root.len != 35 || !str_starts_with(root, STR("1-")) || root.ptr[10] != '-' ||
        parse_hex(root, 2, ret->trace_id, 4) != 0 ||
        parse_hex(root, 11, ret->trace_id + 4, 12) != 0) {
        return ERR_SYNTAX;
    }
    return is_zero(ret->trace_id, sizeof(ret->trace_id)) ? ERR_SYNTAX : 0;
}

int trace_context_parse_xray(struct str header, struct trace_context *ret)
{
    struct trace_context context;
    struct str field;
    int error = ERR_SYNTAX;

    trace_context_new(&context);
    while (str_next(&header, ';', &field)) {
        struct str name;
        (void)str_next(&field, '=', &name);
        name = str_trim(name);
        field = str_trim(field);
        if (str_equal(name, STR("Root"))) {
            error = parse_root(field, &context);
        } else if (str_equal(name, STR("Parent")) && field.len == 16) {
            struct trace_context parent = context;
            if (parse_hex(field, 0, parent.span_id, sizeof(parent.span_id)) == 0 &&
                !is_zero(parent.span_id, sizeof(parent.span_id))) {
                memcpy(context.span_id, parent.span_id, sizeof(context.span_id));
            }
        } else if (str_equal(name, STR("Sampled"))) {
            context.flags = str_equal(field, STR("0")) ? 0 : FLAG_SAMPLED;
        }
    }
    if (error == 0) {
        *ret = context;
    }
    return error;
}

void trace_context_format_xray(const struct trace_context *context, char out[TRACE_XRAY_LEN + 1])
{
    char trace_id[33], span_id[17];

    digest_hex(context->trace_id, sizeof(context->trace_id), trace_id);
    digest_hex(context->span_id, sizeof(context->span_id), span_id);
    (void)snprintf(out, TRACE_XRAY_LEN + 1, "Root=1-%.8s-%s;Parent=%s;Sampled=%d", trace_id,
                   trace_id + 8, span_id, (context->flags & FLAG_SAMPLED) != 0 ? 1 : 0);
}

void trace_context_new(struct trace_context *ret)
{
    random_id(ret->trace_id, sizeof(ret->trace_id));
    random_id(ret->span_id, sizeof(ret->span_id));
    ret->flags = FLAG_SAMPLED;
}

struct trace_context trace_context_child(const struct trace_context *parent)
{
    struct trace_context child = *parent;
    random_id(child.span_id, sizeof(child.span_id));
    return child;
}
