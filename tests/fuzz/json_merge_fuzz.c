/* rooms: base */
/* Two texts, a zero byte between them: the merged one is JSON, and merging the same again changes
 * nothing. */
#include "fuzz.h"

#include "sluice/base/json.h"

#include <string.h>

static bool merge(const struct json *base, const struct json *patch, struct buf *out)
{
    struct json_writer w;
    buf_init(out, 16u << 20);
    json_writer_init(&w, out);
    json_write_merged(&w, base->root, patch->root);
    return buf_failed(out) == 0;
}

static void check(const struct json *base, const struct json *patch)
{
    struct json merged = {NULL};
    struct buf once, twice;
    if (merge(base, patch, &once)) {
        SL_ASSERT(json_parse(&merged, buf_str(&once), JSON_STRICT, NULL) == 0);
        SL_ASSERT(merge(&merged, patch, &twice));
        SL_ASSERT(str_equal(buf_str(&once), buf_str(&twice)));
        buf_done(&twice);
        json_done(&merged);
    }
    buf_done(&once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *middle = size == 0 ? NULL : memchr(text, '\0', size);
    struct json base = {NULL};
    struct json patch = {NULL};
    if (middle == NULL) {
        return 0;
    }
    size_t len = (size_t)(middle - text);
    if (json_parse(&base, (struct str){text, len}, JSON_COMMENTS, NULL) == 0 &&
        json_parse(&patch, (struct str){middle + 1, size - len - 1}, JSON_COMMENTS, NULL) == 0) {
        check(&base, &patch);
    }
    json_done(&base);
    json_done(&patch);
    return 0;
}
