#include "settings_stage.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define STAGES_TEXT_MAX 200

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

/* "dev, prd": those that have a file there; "none". */
static void list_stages(const char *path, char out[STAGES_TEXT_MAX])
{
    struct str stem = stem_of(path);
    const char *slash = memrchr(stem.ptr, '/', stem.len);
    struct str base =
        slash == NULL ? stem : (struct str){slash + 1, stem.len - (size_t)(slash + 1 - stem.ptr)};
    char folder[1024] = ".";
    struct dirent *entry;
    size_t at = 0;

    if (slash != NULL) {
        (void)snprintf(folder, sizeof(folder), "%.*s/", (int)(slash - stem.ptr), stem.ptr);
    }
    (void)snprintf(out, STAGES_TEXT_MAX, "none");
    DIR *dir = opendir(folder);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct str name = str_from(entry->d_name);
        if (!str_starts_with(name, base) || !str_ends_with(name, STR(".json")) ||
            name.len <= base.len + 6 || name.ptr[base.len] != '.') {
            continue;
        }
        struct str stage = {name.ptr + base.len + 1, name.len - base.len - 6};
        int len =
            snprintf(out + at, STAGES_TEXT_MAX - at, "%s%.*s", at == 0 ? "" : ", ", STR_FMT(stage));
        at += len > 0 && at + (size_t)len < STAGES_TEXT_MAX ? (size_t)len : 0;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
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
    rc = settings_read_file(overlay->path, &text);
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
    if (text.ptr != NULL) {
        explicit_bzero(text.ptr, text.cap);
    }
    buf_done(&text);
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

static void write_merged(const struct json *base, const struct stage_overlay *overlay,
                         const char *stage, struct buf *out)
{
    struct json named = {NULL};
    struct json_writer w;
    struct buf merged, name;

    buf_init(&merged, 2 * CONFIG_TEXT_MAX);
    buf_init(&name, 256);
    json_writer_init(&w, &merged);
    json_write_merged(&w, base->root, overlay->json.root);
    (void)buf_addf(&name, "{\"stage\":\"%s\"}", stage);
    /* Once more, for the stage itself. */
    struct json all = {NULL};
    if (buf_failed(&merged) == 0 && json_parse(&all, buf_str(&merged), JSON_STRICT, NULL) == 0 &&
        json_parse(&named, buf_str(&name), JSON_STRICT, NULL) == 0) {
        json_writer_init(&w, out);
        json_write_merged(&w, all.root, named.root);
    }
    json_done(&all);
    json_done(&named);
    if (merged.ptr != NULL) {
        explicit_bzero(merged.ptr, merged.cap);
    }
    buf_done(&merged);
    buf_done(&name);
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
        rc = check_stage(overlay->json.root, overlay->path, stage, errors);
    }
    if (rc == 0) {
        buf_init(&merged, CONFIG_TEXT_MAX);
        write_merged(&base, overlay, stage, &merged);
        rc = merged.len == 0 || buf_failed(&merged) != 0
                 ? error_list_add(errors, ERR_TOO_BIG, path, "is too large with %s", overlay->path)
                 : 0;
        explicit_bzero(text->ptr, text->cap);
        buf_done(text);
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
