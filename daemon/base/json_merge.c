#include "sluice/base/json.h"

/* RFC 7396, section 2: what is no object replaces; null removes; objects go on inside. */
static void merge(struct json_writer *w, const struct json_value *base,
                  const struct json_value *patch)
{
    json_object_begin(w);
    for (const struct json_value *v = json_first(base); v != NULL; v = json_next(v)) {
        const struct json_value *other = json_get_str(patch, json_key(v));
        if (other == NULL) {
            json_key_write(w, json_key(v));
            json_write_copy(w, v);
        } else if (json_type(other) != JSON_NULL) {
            json_key_write(w, json_key(v));
            json_write_merged(w, v, other);
        }
    }
    for (const struct json_value *v = json_first(patch); v != NULL; v = json_next(v)) {
        if (json_get_str(base, json_key(v)) == NULL && json_type(v) != JSON_NULL) {
            json_key_write(w, json_key(v));
            json_write_merged(w, NULL, v);
        }
    }
    json_object_end(w);
}

void json_write_merged(struct json_writer *w, const struct json_value *base,
                       const struct json_value *patch)
{
    if (json_type(patch) == JSON_OBJECT) {
        merge(w, json_type(base) == JSON_OBJECT ? base : NULL, patch);
    } else {
        json_write_copy(w, patch);
    }
}
