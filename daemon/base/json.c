#include "sluice/base/json.h"

#include "json_scan.h"

#include <cjson/cJSON.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Objects up to this many keys are compared pair by pair; larger ones are sorted. */
#define PAIRS_MAX_COUNT 16
/* From 2^53 on a double may stand for an integer it is not. */
#define INTEGER_END 9007199254740992.0

static const cJSON *item_of(const struct json_value *value)
{
    return (const cJSON *)(const void *)value;
}

static const struct json_value *value_of(const cJSON *item)
{
    return (const struct json_value *)(const void *)item;
}

/* ---- duplicate keys ---- */

static int compare_keys(const void *a, const void *b)
{
    const cJSON *const *left = a;
    const cJSON *const *right = b;
    int order = strcmp((*left)->string, (*right)->string);
    if (order != 0) {
        return order;
    }
    return *left < *right ? -1 : 1; /* any fixed order */
}

static const cJSON *duplicate_by_pairs(const cJSON *object)
{
    for (const cJSON *a = object->child; a != NULL; a = a->next) {
        for (const cJSON *b = a->next; b != NULL; b = b->next) {
            if (strcmp(a->string, b->string) == 0) {
                return b;
            }
        }
    }
    return NULL;
}

static int duplicate_by_sorting(const cJSON *object, size_t count, const cJSON **ret)
{
    const cJSON **items = calloc(count, sizeof(cJSON *));
    if (items == NULL) {
        return ERR_NOMEM;
    }
    size_t i = 0;
    for (const cJSON *child = object->child; child != NULL; child = child->next) {
        items[i++] = child;
    }
    qsort(items, count, sizeof(cJSON *), compare_keys);
    for (i = 1; i < count && *ret == NULL; i++) {
        if (strcmp(items[i - 1]->string, items[i]->string) == 0) {
            *ret = items[i];
        }
    }
    free(items);
    return 0;
}

/* *ret: a member whose key its object already has, or NULL. Depth is bounded by the scan. */
static int find_duplicate(const cJSON *item, const cJSON **ret)
{
    if (cJSON_IsObject(item)) {
        size_t count = json_count(value_of(item));
        if (count <= PAIRS_MAX_COUNT) {
            *ret = duplicate_by_pairs(item);
        } else {
            int rc = duplicate_by_sorting(item, count, ret);
            if (rc != 0) {
                return rc;
            }
        }
    }
    for (const cJSON *child = item->child; child != NULL && *ret == NULL; child = child->next) {
        int rc = child->child == NULL ? 0 : find_duplicate(child, ret);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* Writes the path of target below item ("a.b[2].c") and counts the keys that come before it. */
static bool find_path(const cJSON *item, const cJSON *target, struct buf *path, size_t *key_count)
{
    size_t index = 0;
    size_t len = path->len;
    for (const cJSON *child = item->child; child != NULL; child = child->next, index++) {
        if (child->string != NULL) {
            (void)buf_addf(path, "%s%s", len == 0 ? "" : ".", child->string);
        } else {
            (void)buf_addf(path, "[%zu]", index);
        }
        if (child == target) {
            return true;
        }
        *key_count += child->string != NULL ? 1 : 0;
        if (find_path(child, target, path, key_count)) {
            return true;
        }
        buf_truncate(path, len);
    }
    return false;
}

static int fail_duplicate(const cJSON *root, const cJSON *duplicate, struct str text,
                          struct error *e)
{
    struct buf path;
    buf_init(&path, 4096); /* a longer one is cut: the error has less room than that anyway */
    size_t key_index = 0;
    size_t line = 0;
    size_t column = 0;
    (void)find_path(root, duplicate, &path, &key_index);
    json_scan_position(text, json_scan_key_offset(text, key_index), &line, &column);
    int rc = error_set(e, ERR_DUPLICATE, buf_str(&path).ptr,
                       "line %zu, column %zu: the key \"%.100s\" is there twice", line, column,
                       duplicate->string);
    buf_done(&path);
    return rc;
}

/* ---- parsing ---- */

static int parse_scanned(struct json *ret_json, struct str text, struct error *e)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text.ptr, text.len, &end, 0);
    if (root == NULL) {
        /* The scan found the grammar in order, so it can only be memory. */
        return error_set(e, ERR_NOMEM, "", "no memory for a JSON text of %zu bytes", text.len);
    }
    struct str rest = {end, (size_t)(text.ptr + text.len - end)};
    while (rest.len > 0 && strchr(" \t\r\n", rest.ptr[0]) != NULL) {
        rest.ptr++;
        rest.len--;
    }
    SL_ASSERT(rest.len == 0);
    const cJSON *duplicate = NULL;
    int rc = find_duplicate(root, &duplicate);
    if (rc != 0) {
        error_set(e, rc, "", "no memory for a JSON text of %zu bytes", text.len);
    } else if (duplicate != NULL) {
        rc = fail_duplicate(root, duplicate, text, e);
    }
    if (rc != 0) {
        cJSON_Delete(root);
        return rc;
    }
    ret_json->root = (struct json_value *)(void *)root;
    return 0;
}

int json_parse(struct json *ret_json, struct str text, int flags, struct error *e)
{
    if ((flags & JSON_COMMENTS) == 0 || text.len == 0) {
        int rc = json_scan(text, NULL, e);
        return rc == 0 ? parse_scanned(ret_json, text, e) : rc;
    }
    char *copy = malloc(text.len);
    if (copy == NULL) {
        return error_set(e, ERR_NOMEM, "", "no memory for a JSON text of %zu bytes", text.len);
    }
    memcpy(copy, text.ptr, text.len);
    /* The scan reads the original and blanks the copy, byte for byte: positions stay the same. */
    int rc = json_scan(text, copy, e);
    if (rc == 0) {
        rc = parse_scanned(ret_json, (struct str){copy, text.len}, e);
    }
    free(copy);
    return rc;
}

void json_done(struct json *json)
{
    cJSON_Delete((cJSON *)(void *)json->root);
    json->root = NULL;
}

/* ---- reading ---- */

enum json_type json_type(const struct json_value *value)
{
    const cJSON *item = item_of(value);
    switch (item == NULL ? cJSON_NULL : item->type & 0xff) {
    case cJSON_True:
    case cJSON_False:
        return JSON_BOOL;
    case cJSON_Number:
        return JSON_NUMBER;
    case cJSON_String:
        return JSON_STRING;
    case cJSON_Array:
        return JSON_ARRAY;
    case cJSON_Object:
        return JSON_OBJECT;
    default:
        return JSON_NULL;
    }
}

const char *json_type_name(enum json_type type)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",     [JSON_BOOL] = "boolean", [JSON_NUMBER] = "number",
        [JSON_STRING] = "string", [JSON_ARRAY] = "array",  [JSON_OBJECT] = "object",
    };
    return (size_t)type < SL_COUNT(names) ? names[type] : "unknown";
}

struct str json_string(const struct json_value *value)
{
    return cJSON_IsString(item_of(value)) ? str_from(item_of(value)->valuestring) : STR_NONE;
}

bool json_bool(const struct json_value *value)
{
    return cJSON_IsTrue(item_of(value)) != 0;
}

double json_number(const struct json_value *value)
{
    return cJSON_IsNumber(item_of(value)) ? item_of(value)->valuedouble : 0;
}

int json_i64(const struct json_value *value, int64_t *ret)
{
    double number = json_number(value);
    if (!cJSON_IsNumber(item_of(value)) || number != floor(number) || fabs(number) >= INTEGER_END) {
        return ERR_INVALID;
    }
    *ret = (int64_t)number;
    return 0;
}

const struct json_value *json_get(const struct json_value *object, const char *key)
{
    return json_get_str(object, str_from(key));
}

const struct json_value *json_get_str(const struct json_value *object, struct str key)
{
    if (!cJSON_IsObject(item_of(object))) {
        return NULL;
    }
    for (const cJSON *child = item_of(object)->child; child != NULL; child = child->next) {
        if (str_equal(str_from(child->string), key)) {
            return value_of(child);
        }
    }
    return NULL;
}

size_t json_count(const struct json_value *array_or_object)
{
    size_t count = 0;
    for (const struct json_value *v = json_first(array_or_object); v != NULL; v = json_next(v)) {
        count++;
    }
    return count;
}

const struct json_value *json_first(const struct json_value *array_or_object)
{
    return array_or_object == NULL ? NULL : value_of(item_of(array_or_object)->child);
}

const struct json_value *json_next(const struct json_value *value)
{
    return value == NULL ? NULL : value_of(item_of(value)->next);
}

struct str json_key(const struct json_value *value)
{
    return value == NULL ? STR_NONE : str_from(item_of(value)->string);
}
