/* The Query protocol's answers. */
#include "codec_internal.h"

#include "sluice/base/digest.h"

#define XML_NAMESPACE "http://queue.amazonaws.com/doc/2012-11-05/"
#define XML_HEADER    "<?xml version=\"1.0\"?>"

static void encode_shape(struct buf *out, const struct sqs_shape *shape, const void *value);

/* Bytes of the character at text[i] that XML 1.0 cannot hold, 0 when it can: control characters,
 * U+FFFE, U+FFFF, and what is no UTF-8. */
static size_t illegal_bytes(struct str text, size_t i)
{
    unsigned char c = (unsigned char)text.ptr[i];
    if (c < 0x20) {
        return c == '\t' || c == '\n' || c == '\r' ? 0 : 1;
    }
    if (c < 0x80) {
        return 0;
    }
    size_t width = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (i + width > text.len || !str_is_utf8((struct str){text.ptr + i, width})) {
        return 1;
    }
    bool noncharacter = c == 0xef && (unsigned char)text.ptr[i + 1] == 0xbf &&
                        (unsigned char)text.ptr[i + 2] >= 0xbe;
    return noncharacter ? 3 : 0;
}

static const char *escape_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\r': /* a parser would read a bare one as a line feed */
        return "&#13;";
    default:
        return NULL;
    }
}

static void add_escaped(struct buf *out, struct str text)
{
    size_t plain = 0; /* start of the run that needs no escape */
    size_t i = 0;
    while (i < text.len) {
        size_t skip = illegal_bytes(text, i);
        const char *escape = skip > 0 ? "\xef\xbf\xbd" : escape_of(text.ptr[i]);
        if (escape == NULL) {
            unsigned char c = (unsigned char)text.ptr[i];
            i += c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
            continue;
        }
        (void)buf_append(out, text.ptr + plain, i - plain);
        (void)buf_adds(out, escape);
        i += skip > 0 ? skip : 1;
        plain = i;
    }
    if (text.len > plain) {
        (void)buf_append(out, text.ptr + plain, text.len - plain);
    }
}

static void open_tag(struct buf *out, const char *name)
{
    (void)buf_addf(out, "<%s>", name);
}

static void close_tag(struct buf *out, const char *name)
{
    (void)buf_addf(out, "</%s>", name);
}

static void add_element(struct buf *out, const char *name, struct str text)
{
    open_tag(out, name);
    add_escaped(out, text);
    close_tag(out, name);
}

static void encode_attribute(struct buf *out, const struct sqs_attribute *attribute)
{
    add_element(out, "Name", attribute->name);
    open_tag(out, "Value");
    if (attribute->string_value.ptr != NULL) {
        add_element(out, "StringValue", attribute->string_value);
    }
    if (attribute->binary_value.ptr != NULL) {
        open_tag(out, "BinaryValue");
        (void)digest_base64(out, attribute->binary_value.ptr, attribute->binary_value.len);
        close_tag(out, "BinaryValue");
    }
    add_element(out, "DataType", attribute->data_type);
    close_tag(out, "Value");
}

static void encode_element(struct buf *out, const struct sqs_member *member,
                           const struct codec_list *list, uint32_t i)
{
    switch (member->type) {
    case SQS_TYPE_STRINGS:
        add_escaped(out, ((const struct str *)list->items)[i]);
        break;
    case SQS_TYPE_MAP:
        add_element(out, member->map_key, ((const struct sqs_pair *)list->items)[i].name);
        add_element(out, member->map_value, ((const struct sqs_pair *)list->items)[i].value);
        break;
    case SQS_TYPE_ATTRIBUTES:
        encode_attribute(out, &((const struct sqs_attribute *)list->items)[i]);
        break;
    default:
        encode_shape(out, member->shape,
                     (const char *)list->items + i * member->shape->struct_size);
        break;
    }
}

static void encode_member(struct buf *out, const struct sqs_member *member, const void *value)
{
    const char *at = (const char *)value + member->offset;
    const char *name = member->query_name;
    struct str text;
    struct sqs_int number;
    bool flag;
    switch (member->type) {
    case SQS_TYPE_STRING:
        memcpy(&text, at, sizeof(text));
        if (text.ptr != NULL) {
            add_element(out, name, text);
        }
        return;
    case SQS_TYPE_INT:
        memcpy(&number, at, sizeof(number));
        if (number.set) {
            (void)buf_addf(out, "<%s>%lld</%s>", name, (long long)number.value, name);
        }
        return;
    case SQS_TYPE_BOOL:
        memcpy(&flag, at, sizeof(flag));
        add_element(out, name, flag ? STR("true") : STR("false"));
        return;
    default:
        break;
    }
    struct codec_list list = codec_list_get(value, member->offset);
    for (uint32_t i = 0; i < list.count; i++) {
        open_tag(out, name);
        encode_element(out, member, &list, i);
        close_tag(out, name);
    }
}

static void encode_shape(struct buf *out, const struct sqs_shape *shape, const void *value)
{
    for (size_t i = 0; i < shape->member_count; i++) {
        encode_member(out, &shape->members[i], value);
    }
}

int sqs_xml_encode(const struct sqs_action_info *action, const void *value, const char *request_id,
                   struct buf *out)
{
    (void)buf_addf(out, XML_HEADER "<%sResponse xmlns=\"" XML_NAMESPACE "\">", action->name);
    if (action->output != NULL) {
        size_t before = out->len;
        (void)buf_addf(out, "<%sResult>", action->name);
        size_t opened = out->len;
        encode_shape(out, action->output, value);
        if (out->len == opened && buf_failed(out) == 0) {
            buf_truncate(out, before);
            (void)buf_addf(out, "<%sResult/>", action->name);
        } else {
            (void)buf_addf(out, "</%sResult>", action->name);
        }
    }
    open_tag(out, "ResponseMetadata");
    add_element(out, "RequestId", str_from(request_id));
    close_tag(out, "ResponseMetadata");
    (void)buf_addf(out, "</%sResponse>", action->name);
    return buf_failed(out);
}

/* The Query protocol has its own words for the commonest error. */
static struct str message_of(const struct sqs_error *e)
{
    struct str message = str_from(e->message);
    if (e->code == SQS_ERROR_QUEUE_DOES_NOT_EXIST &&
        str_equal(message, STR("The specified queue does not exist."))) {
        return STR("The specified queue does not exist for this wsdl version.");
    }
    return message;
}

int sqs_xml_error(const struct sqs_error *e, const char *request_id, struct buf *out)
{
    const struct sqs_error_info *info = sqs_error_info(e->code);
    (void)buf_adds(out, XML_HEADER "<ErrorResponse xmlns=\"" XML_NAMESPACE "\"><Error>");
    add_element(out, "Type", info->sender_fault ? STR("Sender") : STR("Receiver"));
    add_element(out, "Code", str_from(info->query_code));
    add_element(out, "Message", message_of(e));
    (void)buf_adds(out, "<Detail/></Error>");
    add_element(out, "RequestId", str_from(request_id));
    (void)buf_adds(out, "</ErrorResponse>");
    return buf_failed(out);
}
