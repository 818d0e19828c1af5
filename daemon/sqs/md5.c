/* docs.aws.amazon.com, "Calculating the MD5 message digest for message attributes". */
#include "sluice/sqs/md5.h"

#include "sluice/base/digest.h"

#define TRANSPORT_STRING 1
#define TRANSPORT_BINARY 2

void sqs_md5_body(struct str body, char out[33])
{
    uint8_t digest[DIGEST_MD5_BYTES];
    digest_md5(body, digest);
    digest_hex(digest, sizeof(digest), out);
}

static void update_sized(struct digest_md5 *md5, struct str text)
{
    uint32_t len = (uint32_t)text.len;
    uint8_t prefix[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                         (uint8_t)len};
    digest_md5_update(md5, prefix, sizeof(prefix));
    if (text.len > 0) {
        digest_md5_update(md5, text.ptr, text.len);
    }
}

static void update_attribute(struct digest_md5 *md5, const struct sqs_attribute *attribute)
{
    bool binary = str_starts_with(attribute->data_type, STR("Binary"));
    uint8_t transport = binary ? TRANSPORT_BINARY : TRANSPORT_STRING;
    update_sized(md5, attribute->name);
    update_sized(md5, attribute->data_type);
    digest_md5_update(md5, &transport, 1);
    update_sized(md5, binary ? attribute->binary_value : attribute->string_value);
}

/* The least attribute greater than *previous by (name, position), so that nothing is allocated:
 * a message has at most ten. */
static const struct sqs_attribute *next_in_order(const struct sqs_attributes *attributes,
                                                 const struct sqs_attribute *previous)
{
    const struct sqs_attribute *best = NULL;
    for (uint32_t i = 0; i < attributes->count; i++) {
        const struct sqs_attribute *candidate = &attributes->items[i];
        if (previous != NULL) {
            int order = str_compare(candidate->name, previous->name);
            if (order < 0 || (order == 0 && candidate <= previous)) {
                continue;
            }
        }
        if (best == NULL || str_compare(candidate->name, best->name) < 0) {
            best = candidate;
        }
    }
    return best;
}

void sqs_md5_attributes(const struct sqs_attributes *attributes, char out[33])
{
    out[0] = '\0';
    if (attributes->count == 0) {
        return;
    }
    struct digest_md5 md5;
    digest_md5_init(&md5);
    const struct sqs_attribute *attribute = NULL;
    while ((attribute = next_in_order(attributes, attribute)) != NULL) {
        update_attribute(&md5, attribute);
    }
    uint8_t digest[DIGEST_MD5_BYTES];
    digest_md5_final(&md5, digest);
    digest_hex(digest, sizeof(digest), out);
}
