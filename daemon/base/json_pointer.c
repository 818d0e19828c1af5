#include "sluice/base/json.h"

#include <string.h>

#define TOKEN_MAX 1024u

bool json_pointer_is_valid(struct str pointer)
{
    if (pointer.len > 0 && pointer.ptr[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < pointer.len; i++) {
        bool escape = pointer.ptr[i] == '~';
        if (escape &&
            (i + 1 == pointer.len || (pointer.ptr[i + 1] != '0' && pointer.ptr[i + 1] != '1'))) {
            return false;
        }
    }
    return str_is_utf8(pointer);
}

/* "a~1b" is the key a/b. ~1 first would make ~01 a slash: one pass does it right. */
static struct str unescape(struct str token, char out[TOKEN_MAX])
{
    size_t n = 0;

    if (memchr(token.ptr, '~', token.len) == NULL) {
        return token;
    }
    for (size_t i = 0; i < token.len && n < TOKEN_MAX; i++) {
        char c = token.ptr[i];
        if (c == '~') {
            c = token.ptr[++i] == '0' ? '~' : '/';
        }
        out[n++] = c;
    }
    return (struct str){out, n};
}

static const struct json_value *item_at(const struct json_value *array, struct str token)
{
    int64_t index;
    bool padded = token.len > 1 && token.ptr[0] == '0';
    const struct json_value *item = json_first(array);

    if (padded || token.len == 0 || token.ptr[0] < '0' || token.ptr[0] > '9' ||
        str_to_i64(token, 0, INT32_MAX, &index) != 0) {
        return NULL;
    }
    for (; item != NULL && index > 0; index--) {
        item = json_next(item);
    }
    return item;
}

const struct json_value *json_pointer(const struct json_value *root, struct str pointer)
{
    char text[TOKEN_MAX];
    struct str rest = pointer, token;

    if (!json_pointer_is_valid(pointer) || pointer.len > TOKEN_MAX) {
        return NULL;
    }
    (void)str_next(&rest, '/', &token); /* what lies before the first slash: nothing */
    while (root != NULL && rest.ptr != NULL && str_next(&rest, '/', &token)) {
        switch (json_type(root)) {
        case JSON_OBJECT:
            root = json_get_str(root, unescape(token, text));
            break;
        case JSON_ARRAY:
            root = item_at(root, token);
            break;
        default:
            root = NULL;
        }
    }
    return root;
}
