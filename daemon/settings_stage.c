#include "settings_stage.h"

#include "sluice/runtime/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAGES_TEXT_MAX   200
#define STAGE_MEMBERS_MAX 1000 /* as many as a table may have */

/* ---- where it is ---- */

static bool is_name(const char *stage)
{
    size_t len = strspn(stage, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    return len > 0 && len <= CONFIG_NAME_MAX && stage[len] == '\0';
}

/* "conf/sluice" of "conf/sluice.json". */
static struct str stem_of(const char *path)
{
    struct str stem = str_from(path);

    if (str_ends_with(stem, STR(".json"))) {
        stem.len -= 5;
    }
    return stem;
}

static bool overlay_path(const char *path, const char *stage, char *out, size_t size)
{
    return snprintf(out, size, "%.*s.%s.json", STR_FMT(stem_of(path)), stage) < (int)size;
}

/* The stage of "sluice.prd.json" beside sluice.json; STR_NONE: the file is of none. */
static struct str stage_of(struct str file, struct str base)
{
    char stage[CONFIG_NAME_MAX + 2];

    if (!str_starts_with(file, base) || !str_ends_with(file, STR(".json")) ||
        file.len <= base.len + 6 || file.ptr[base.len] != '.') {
        return STR_NONE;
    }
    struct str ret = {file.ptr + base.len + 1, file.len - base.len - 6};
    return is_name(str_copy(stage, sizeof(stage), ret)) ? ret : STR_NONE;
}

/* "dev, prd": those that have a file there; "none". */
static void list_stages(const char *path, char out[STAGES_TEXT_MAX])
{
    struct str base = stem_of(path);
    const char *slash = memrchr(base.ptr, '/', base.len);
    char folder[1024] = ".";
    struct dirent **entries = NULL;
    size_t at = 0;

    if (slash != NULL) {
        (void)snprintf(folder, sizeof(folder), "%.*s/", (int)(slash - base.ptr), base.ptr);
        base = (struct str){slash + 1, base.len - (size_t)(slash + 1 - base.ptr)};
    }
    (void)snprintf(out, STAGES_TEXT_MAX, "none");
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        struct str stage = stage_of(str_from(entries[i]->d_name), base);
        if (stage.ptr != NULL && at + stage.len + 3 < STAGES_TEXT_MAX) {
            at += (size_t)snprintf(out + at, STAGES_TEXT_MAX - at, "%s%.*s", at == 0 ? "" : ", ",
                                   STR_FMT(stage));
        }
        free(entries[i]);
    }
    free(entries);
}

/* ---- reading and merging ---- */

static int read_overlay(const char *path, const char *stage, struct stage_overlay *overlay,
                        struct error_list *errors)
{
    char stages[STAGES_TEXT_MAX];
    struct error e = {0};
    struct buf text;
    int rc;

    if (!is_name(stage) || !overlay_path(path, stage, overlay->path, sizeof(overlay->path))) {
        return error_list_add(errors, ERR_INVALID, "--stage",
                              "found \"%.80s\"; allowed: letters, digits, - and _", stage);
    }
    buf_init(&text, CONFIG_TEXT_MAX + 4096);
    rc = file_read(overlay->path, &text);
    if (rc == ERR_NOT_FOUND) {
        list_stages(path, stages);
        rc = error_list_add(errors, rc, "--stage", "there is no %s; stages that have a file: %s",
                            overlay->path, stages);
    } else if (rc != 0) {
        rc = error_list_add(errors, rc, overlay->path, "cannot be read: %s", err_text(rc));
    } else if ((rc = json_parse(&overlay->json, buf_str(&text), JSON_COMMENTS, &e)) != 0) {
        rc = error_list_add(errors, rc, overlay->path, "%s%s%s", e.where,
                            e.where[0] == '\0' ? "" : ": ", e.text);
    } else if (json_type(overlay->json.root) != JSON_OBJECT) {
        rc = error_list_add(errors, ERR_SYNTAX, overlay->path, "expected an object");
    }
    file_wipe(&text);
    return rc;
}

static int check_stage(const struct json_value *root, const char *where, const char *stage,
                       struct error_list *errors)
{
    struct str found = json_string(json_get(root, "stage"));

    return found.ptr == NULL || str_equal(found, str_from(stage))
               ? 0
               : error_list_add(errors, ERR_INVALID, where,
                                "stage: found \"%.*s\", and the stage "
                                "is \"%s\"; remove one",
                                STR_FMT(found), stage);
}

/* A null that removes nothing is no part of RFC 7396's errors, but a key that was misspelt. */
static int check_removed(const struct json_value *base, const struct json_value *patch,
                         struct buf *path, struct error_list *errors)
{
    size_t before = path->len;
    int rc = 0;

    for (const struct json_value *v = json_first(patch); v != NULL; v = json_next(v)) {
        const struct json_value *found = json_get_str(base, json_key(v));
        int error = 0;
        (void)buf_addf(path, "%s%.*s", before == 0 ? "" : ".", STR_FMT(json_key(v)));
        if (json_type(v) == JSON_OBJECT) {
            error = check_removed(found, v, path, errors);
        } else if (json_type(v) == JSON_NULL && found == NULL) {
            error = error_list_add(errors, ERR_INVALID, buf_str(path).ptr,
                                   "found null, which removes what the base file says, and it does "
                                   "not say anything here; remove it, or look at its spelling");
        }
        rc = rc == 0 ? error : rc;
        buf_truncate(path, before);
        path->failed = 0;
    }
    return rc;
}

/* Members are looked up one by one: objects that no configuration has would take minutes. */
static bool is_too_wide(const struct json_value *value)
{
    bool wide = json_type(value) == JSON_OBJECT && json_count(value) > STAGE_MEMBERS_MAX;

    for (const struct json_value *v = json_first(value); v != NULL && !wide; v = json_next(v)) {
        wide = is_too_wide(v);
    }
    return wide;
}

static int check_overlay(const struct json_value *base, const struct stage_overlay *overlay,
                         const char *path, const char *stage, struct error_list *errors)
{
    struct buf where;

    if (json_type(base) != JSON_OBJECT) {
        return error_list_add(errors, ERR_INVALID, path, "expected an object");
    }
    if (is_too_wide(base) || is_too_wide(overlay->json.root)) {
        return error_list_add(errors, ERR_TOO_BIG, is_too_wide(base) ? path : overlay->path,
                              "an object has more than %d members", STAGE_MEMBERS_MAX);
    }
    buf_init(&where, 4096); /* a longer one is cut: the error has less room than that anyway */
    int rc = check_removed(base, overlay->json.root, &where, errors);
    buf_done(&where);
    int of_stage = check_stage(overlay->json.root, overlay->path, stage, errors);
    return rc == 0 ? of_stage : rc;
}

int stage_merge(const char *path, const char *stage, struct buf *text,
                struct stage_overlay *overlay, struct error_list *errors)
{
    struct json base = {NULL};
    struct error e = {0};
    struct buf merged;
    int rc = read_overlay(path, stage, overlay, errors);

    if (rc == 0 && json_parse(&base, buf_str(text), JSON_COMMENTS, &e) != 0) {
        rc = error_list_add(errors, e.code, path, "%s%s%s", e.where, e.where[0] == '\0' ? "" : ": ",
                            e.text);
    }
    if (rc == 0) {
        rc = check_overlay(base.root, overlay, path, stage, errors);
    }
    if (rc == 0) {
        struct json_writer w;
        buf_init(&merged, CONFIG_TEXT_MAX);
        json_writer_init(&w, &merged);
        json_write_merged(&w, base.root, overlay->json.root);
        rc = buf_failed(&merged) != 0
                 ? error_list_add(errors, ERR_TOO_BIG, path, "is too large with %s", overlay->path)
                 : 0;
        file_wipe(text);
        *text = merged;
    }
    json_done(&base);
    return rc;
}

/* ---- errors ---- */

/* Whether a path of the configuration ("limits.a.requests", "x.outcomes[0].status") begins with
 * something that is in the tree; names may have dots in them ("jobs.fifo"). */
static bool has_path(const struct json_value *value, const char *path)
{
    if (*path == '\0' || json_type(value) != JSON_OBJECT) {
        return true; /* a list, or a value: it is the stage's as a whole */
    }
    for (const struct json_value *v = json_first(value); v != NULL; v = json_next(v)) {
        struct str key = json_key(v);
        const char *rest = path + key.len;
        if (strncmp(path, key.ptr, key.len) == 0 &&
            (*rest == '.' || *rest == '[' || *rest == '\0') &&
            has_path(v, *rest == '.' ? rest + 1 : rest)) {
            return true;
        }
    }
    return false;
}

void stage_name_errors(const struct stage_overlay *overlay, struct error_list *errors)
{
    for (uint32_t i = 0; i < errors->count; i++) {
        struct error *e = &errors->items[i];
        size_t len = strlen(e->text);
        if (overlay->json.root != NULL && e->where[0] != '\0' &&
            has_path(overlay->json.root, e->where)) {
            (void)snprintf(e->text + len, sizeof(e->text) - len, " (in %s)", overlay->path);
        }
    }
}

void stage_overlay_done(struct stage_overlay *overlay)
{
    json_done(&overlay->json);
}
