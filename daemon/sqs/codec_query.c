/*
 * The Query protocol's requests: a form whose lists are flattened and numbered from 1.
 * The form is decoded once and sorted by name, so that a list is one run of neighbours and no
 * request costs more than n log n.
 */
#include "codec_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define PARAMETERS_MAX 4096

struct parameter {
    struct str name, value;
    uint32_t position; /* in the form: of two with one name the first counts */
};

struct form {
    struct codec *codec;
    struct parameter *parameters; /* sorted */
    size_t count;
};

static int decode_members(struct form *form, const struct sqs_shape *shape, struct str prefix,
                          void *out);

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* application/x-www-form-urlencoded. ret->ptr NULL: a broken escape or no room. */
static struct str url_decode(struct str text, struct arena *arena)
{
    char *out = arena_alloc(arena, text.len + 1);
    if (out == NULL) {
        return STR_NONE;
    }
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return STR_NONE;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[len++] = c;
    }
    return (struct str){out, len};
}

struct str sqs_query_parameter(struct str form, const char *name, struct arena *arena)
{
    struct str part;
    while (str_next(&form, '&', &part)) {
        struct str raw_name;
        struct str value = part;
        (void)str_next(&value, '=', &raw_name);
        if (!str_equal(raw_name, str_from(name))) {
            continue;
        }
        return value.ptr == NULL ? STR("") : url_decode(value, arena);
    }
    return STR_NONE;
}

static int compare_parameters(const void *a, const void *b)
{
    const struct parameter *x = a;
    const struct parameter *y = b;
    int order = str_compare(x->name, y->name);
    if (order != 0) {
        return order;
    }
    return x->position < y->position ? -1 : 1;
}

static size_t count_parts(struct str form)
{
    size_t count = form.len > 0 ? 1 : 0;
    for (size_t i = 0; i < form.len; i++) {
        count += form.ptr[i] == '&' ? 1 : 0;
    }
    return count;
}

/* Bodies and String values of a message are judged with their message; the rest must be text. */
static int check_text(struct codec *codec, const struct parameter *parameter)
{
    bool text = str_is_utf8(parameter->name) &&
                memchr(parameter->name.ptr, '\0', parameter->name.len) == NULL;
    if (text && !codec->is_send && parameter->value.len > 0) {
        text = str_is_utf8(parameter->value) &&
               memchr(parameter->value.ptr, '\0', parameter->value.len) == NULL;
    }
    return text ? SQS_OK : codec_malformed(codec, "The request is not valid UTF-8 text.");
}

static int form_parse(struct form *form, struct str text)
{
    struct codec *codec = form->codec;
    size_t count = count_parts(text);
    if (count > PARAMETERS_MAX) {
        return codec_no_room(codec);
    }
    form->parameters = arena_alloc(codec->arena, (count + 1) * sizeof(*form->parameters));
    if (form->parameters == NULL) {
        return codec_no_room(codec);
    }
    struct str part;
    while (text.len > 0 && str_next(&text, '&', &part)) {
        if (part.len == 0) {
            continue;
        }
        struct parameter *parameter = &form->parameters[form->count];
        struct str name;
        struct str value = part;
        (void)str_next(&value, '=', &name);
        *parameter = (struct parameter){
            .name = url_decode(name, codec->arena),
            .value = value.ptr == NULL ? STR("") : url_decode(value, codec->arena),
            .position = (uint32_t)form->count,
        };
        if (parameter->name.ptr == NULL || parameter->value.ptr == NULL) {
            return codec_malformed(codec, "The request is not a valid URL-encoded form.");
        }
        int rc = check_text(codec, parameter);
        if (rc != SQS_OK) {
            return rc;
        }
        form->count++;
    }
    qsort(form->parameters, form->count, sizeof(*form->parameters), compare_parameters);
    return SQS_OK;
}

/* Index of the first parameter whose name is not below `name`. */
static size_t lower_bound(const struct form *form, struct str name)
{
    size_t low = 0;
    size_t high = form->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_compare(form->parameters[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* prefix + name (+ suffix) as one text, in the arena; STR_NONE when it is full. */
static struct str join_name(struct form *form, struct str prefix, const char *name,
                            const char *suffix)
{
    size_t size = prefix.len + strlen(name) + strlen(suffix) + 1;
    char *out = arena_alloc(form->codec->arena, size);
    if (out == NULL) {
        return STR_NONE;
    }
    int len = snprintf(out, size, "%.*s%s%s", STR_FMT(prefix), name, suffix);
    return (struct str){out, (size_t)len};
}

static struct str form_get(struct form *form, struct str prefix, const char *name)
{
    struct str full = join_name(form, prefix, name, "");
    if (full.ptr == NULL) {
        return STR_NONE;
    }
    size_t at = lower_bound(form, full);
    return at < form->count && str_equal(form->parameters[at].name, full)
               ? form->parameters[at].value
               : STR_NONE;
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The numbers N of all parameters "<prefix>N" and "<prefix>N.…", ascending, each once; what follows
 * the prefix and is no number from 1 is ignored, as unknown members are. */
static int list_numbers(struct form *form, struct str prefix, int64_t **ret, size_t *ret_count)
{
    size_t from = lower_bound(form, prefix);
    size_t to = from;
    while (to < form->count && str_starts_with(form->parameters[to].name, prefix)) {
        to++;
    }
    int64_t *numbers = arena_alloc(form->codec->arena, (to - from + 1) * sizeof(*numbers));
    if (numbers == NULL) {
        return codec_no_room(form->codec);
    }
    size_t count = 0;
    for (size_t i = from; i < to; i++) {
        struct str rest = form->parameters[i].name;
        rest.ptr += prefix.len;
        rest.len -= prefix.len;
        struct str digits;
        (void)str_next(&rest, '.', &digits);
        int64_t number;
        if (str_to_i64(digits, 1, INT32_MAX, &number) == ERR_OK &&
            (count == 0 || numbers[count - 1] != number)) {
            numbers[count++] = number;
        }
    }
    qsort(numbers, count, sizeof(*numbers), compare_numbers);
    size_t distinct = 0;
    for (size_t i = 0; i < count; i++) {
        if (distinct == 0 || numbers[distinct - 1] != numbers[i]) {
            numbers[distinct++] = numbers[i];
        }
    }
    *ret = numbers;
    *ret_count = distinct;
    return SQS_OK;
}

static int decode_attribute(struct form *form, struct str prefix, struct sqs_attribute *out)
{
    out->name = form_get(form, prefix, "Name");
    out->data_type = form_get(form, prefix, "Value.DataType");
    out->string_value = form_get(form, prefix, "Value.StringValue");
    struct str binary = form_get(form, prefix, "Value.BinaryValue");
    static const char *const lists[] = {"Value.StringListValue", "Value.BinaryListValue"};
    for (size_t i = 0; i < SL_COUNT(lists); i++) {
        struct str list = join_name(form, prefix, lists[i], ".");
        size_t at = list.ptr == NULL ? form->count : lower_bound(form, list);
        out->has_list_values |=
            at < form->count && str_starts_with(form->parameters[at].name, list);
    }
    if (out->name.ptr == NULL) {
        out->name = STR("");
    }
    return binary.ptr == NULL ? SQS_OK : codec_from_base64(form->codec, binary, &out->binary_value);
}

static int decode_element(struct form *form, const struct sqs_member *member, struct str prefix,
                          int64_t number, void *out)
{
    struct str dotted = join_name(form, prefix, "", ".");
    struct sqs_pair pair;
    if (dotted.ptr == NULL) {
        return codec_no_room(form->codec);
    }
    switch (member->type) {
    case SQS_TYPE_STRINGS: {
        struct str text = form_get(form, prefix, "");
        text = text.ptr == NULL ? STR("") : text;
        memcpy(out, &text, sizeof(text));
        return SQS_OK;
    }
    case SQS_TYPE_MAP:
        pair.name = form_get(form, dotted, member->map_key);
        pair.value = form_get(form, dotted, member->map_value);
        if (pair.name.ptr == NULL || pair.value.ptr == NULL) {
            return sqs_error_set(form->codec->e, SQS_ERROR_MISSING_PARAMETER,
                                 "The request must contain the parameter %s.%s.",
                                 member->query_name,
                                 pair.name.ptr == NULL ? member->map_key : member->map_value);
        }
        memcpy(out, &pair, sizeof(pair));
        return SQS_OK;
    case SQS_TYPE_ATTRIBUTES:
        return decode_attribute(form, dotted, out);
    default:
        (void)snprintf(form->codec->prefix, sizeof(form->codec->prefix), "%s.%lld.",
                       member->query_name, (long long)number);
        return decode_members(form, member->shape, dotted, out);
    }
}

static size_t element_size(const struct sqs_member *member)
{
    switch (member->type) {
    case SQS_TYPE_STRINGS:
        return sizeof(struct str);
    case SQS_TYPE_MAP:
        return sizeof(struct sqs_pair);
    case SQS_TYPE_ATTRIBUTES:
        return sizeof(struct sqs_attribute);
    default:
        return member->shape->struct_size;
    }
}

/* "AttributeName=All" of old clients is a list of one; "AttributeName=" is how botocore writes an
 * empty list. */
static int decode_unnumbered(struct form *form, const struct sqs_member *member, struct str prefix,
                             struct codec_list *list)
{
    struct str text = form_get(form, prefix, member->query_name);
    if (text.ptr == NULL) {
        return SQS_OK;
    }
    bool one = member->type == SQS_TYPE_STRINGS && text.len > 0;
    int rc = codec_items_new(form->codec, one ? 1 : 0, sizeof(struct str), list);
    if (rc == SQS_OK && one) {
        *(struct str *)list->items = text;
    }
    return rc;
}

static int decode_list(struct form *form, const struct sqs_member *member, struct str prefix,
                       void *out)
{
    struct str list_prefix = join_name(form, prefix, member->query_name, ".");
    if (list_prefix.ptr == NULL) {
        return codec_no_room(form->codec);
    }
    int64_t *numbers = NULL;
    size_t count = 0;
    struct codec_list list = {0};
    int rc = list_numbers(form, list_prefix, &numbers, &count);
    if (rc == SQS_OK && count == 0) {
        rc = decode_unnumbered(form, member, prefix, &list);
    } else if (rc == SQS_OK) {
        rc = codec_items_new(form->codec, count, element_size(member), &list);
    }
    for (size_t i = 0; rc == SQS_OK && i < count; i++) {
        char number[24];
        (void)snprintf(number, sizeof(number), "%lld", (long long)numbers[i]);
        struct str element = join_name(form, list_prefix, number, "");
        rc = element.ptr == NULL ? codec_no_room(form->codec)
                                 : decode_element(form, member, element, numbers[i],
                                                  (char *)list.items + i * element_size(member));
    }
    codec_put(out, member->offset, &list, sizeof(list));
    return rc;
}

static int decode_scalar(struct form *form, const struct sqs_member *member, struct str text,
                         void *out)
{
    if (member->type == SQS_TYPE_STRING) {
        codec_put(out, member->offset, &text, sizeof(text));
        return SQS_OK;
    }
    if (member->type == SQS_TYPE_BOOL) {
        bool flag = str_equal(text, STR("true"));
        codec_put(out, member->offset, &flag, sizeof(flag));
        return flag || str_equal(text, STR("false"))
                   ? SQS_OK
                   : codec_malformed(form->codec, "A Boolean must be true or false.");
    }
    struct sqs_int number = {.set = true};
    if (str_to_i64(text, INT32_MIN, INT32_MAX, &number.value) != ERR_OK) {
        return sqs_error_set(form->codec->e, SQS_ERROR_MALFORMED_INPUT,
                             "The value of %s%s is not an Integer.", form->codec->prefix,
                             member->query_name);
    }
    codec_put(out, member->offset, &number, sizeof(number));
    return SQS_OK;
}

static int decode_members(struct form *form, const struct sqs_shape *shape, struct str prefix,
                          void *out)
{
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct sqs_member *member = &shape->members[i];
        int rc = SQS_OK;
        if (member->type > SQS_TYPE_BOOL) {
            rc = decode_list(form, member, prefix, out);
        } else {
            struct str text = form_get(form, prefix, member->query_name);
            if (text.ptr != NULL) {
                rc = decode_scalar(form, member, text, out);
            } else if (member->required) {
                rc = codec_missing(form->codec, member->query_name);
            }
        }
        if (rc != SQS_OK) {
            return rc;
        }
    }
    return SQS_OK;
}

int sqs_query_decode(const struct sqs_shape *shape, struct str text, struct arena *arena,
                     void **ret, struct sqs_error *e)
{
    struct codec codec;
    codec_init(&codec, shape, arena, e);
    struct form form = {.codec = &codec};
    int rc = form_parse(&form, text);
    if (rc != SQS_OK) {
        return rc;
    }
    void *out = arena_alloc(arena, shape->struct_size);
    if (out == NULL) {
        return codec_no_room(&codec);
    }
    rc = decode_members(&form, shape, STR(""), out);
    if (rc == SQS_OK) {
        *ret = out;
    }
    return rc;
}
