#include "profile_file.h"

#include "sluice/base/words.h"

#include <stdint.h>
#include <string.h>

struct parser {
    struct profile_file *file;
    struct arena *arena;
    struct error *e;
    unsigned line;
    struct profile_section *section;
    struct profile_entry **entries; /* of the section, or the defaults; NULL before the first */
    struct profile_entry *entry;    /* whose value may go on */
    size_t indent;                  /* of its key */
};

static int fail(const struct parser *p, const char *what)
{
    return error_set(p->e, ERR_SYNTAX, p->file->path, "line %u: %s", p->line, what);
}

static bool is_white(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct str trim(struct str s)
{
    while (s.len > 0 && is_white(s.ptr[s.len - 1])) {
        s.len--;
    }
    while (s.len > 0 && is_white(*s.ptr)) {
        s.ptr++;
        s.len--;
    }
    return s;
}

static struct str keep(struct parser *p, struct str s)
{
    char *copy = arena_dup(p->arena, s.len == 0 ? "" : s.ptr, s.len);

    return copy == NULL ? STR_NONE : (struct str){copy, s.len};
}

static struct str keep_lower(struct parser *p, struct str s)
{
    char *copy = arena_dup(p->arena, s.ptr, s.len);

    for (size_t i = 0; copy != NULL && i < s.len; i++) {
        copy[i] = (char)(copy[i] >= 'A' && copy[i] <= 'Z' ? copy[i] | 0x20 : copy[i]);
    }
    return copy == NULL ? STR_NONE : (struct str){copy, s.len};
}

static struct profile_entry *find(struct profile_entry *list, struct str key)
{
    while (list != NULL && !str_equal(list->key, key)) {
        list = list->next;
    }
    return list;
}

/* "profile x", "sso-session x", "services x" of a config file; anything of a credentials file. */
static int name_section(struct parser *p, struct profile_section *section, struct str header)
{
    static const struct {
        const char *word;
        enum profile_section_kind kind;
    } kinds[] = {{"profile", SECTION_PROFILE},
                 {"sso-session", SECTION_SSO_SESSION},
                 {"services", SECTION_SERVICES}};
    struct str words[WORDS_MAX];
    uint32_t count = 0;

    section->kind = p->file->is_credentials || str_equal(header, STR("default")) ? SECTION_PROFILE
                                                                                 : SECTION_OTHER;
    section->name = header;
    for (size_t i = 0; i < SL_COUNT(kinds) && section->kind == SECTION_OTHER; i++) {
        if (str_starts_with(header, str_from(kinds[i].word)) &&
            words_split(header, p->arena, words, &count) == 0 && count == 2) {
            section->kind = kinds[i].kind;
            section->name = words[1];
        }
    }
    return 0;
}

static int add_section(struct parser *p, struct str line)
{
    size_t end = line.len - 1;

    while (end > 0 && line.ptr[end] != ']') {
        end--;
    }
    if (end < 2) {
        return fail(p, "a section needs a name and its ']'");
    }
    struct str header = keep(p, (struct str){line.ptr + 1, end - 1});
    p->entry = NULL;
    if (str_equal(header, STR("DEFAULT"))) {
        p->entries = &p->file->defaults;
        return 0;
    }
    struct profile_section *section = arena_alloc(p->arena, sizeof(*section));
    if (section == NULL || header.ptr == NULL) {
        return error_set(p->e, ERR_NOMEM, p->file->path, "is too large");
    }
    (void)name_section(p, section, header);
    for (struct profile_section *s = p->file->sections; s != NULL; s = s->next) {
        if (s->kind == section->kind && str_equal(s->name, section->name)) {
            return fail(p, "this section was there before: merge the two");
        }
    }
    if (p->file->last == NULL) {
        p->file->sections = section;
    } else {
        p->file->last->next = section;
    }
    p->file->last = section;
    p->entries = &section->entries;
    return 0;
}

/* key = value, or key: value. */
static int add_entry(struct parser *p, struct str line, struct profile_entry **list)
{
    size_t at = 0;

    while (at < line.len && line.ptr[at] != '=' && line.ptr[at] != ':') {
        at++;
    }
    if (at == line.len || at == 0) {
        return fail(p, "expected key = value");
    }
    struct profile_entry *entry = arena_alloc(p->arena, sizeof(*entry));
    struct str key = keep_lower(p, trim((struct str){line.ptr, at}));
    if (entry == NULL || key.ptr == NULL) {
        return error_set(p->e, ERR_NOMEM, p->file->path, "is too large");
    }
    if (key.len == 0) {
        return fail(p, "expected key = value");
    }
    if (find(*list, key) != NULL) {
        return fail(p, "this key was there before in its section");
    }
    entry->key = key;
    entry->value = keep(p, trim((struct str){line.ptr + at + 1, line.len - at - 1}));
    entry->next = *list;
    *list = entry;
    p->entry = entry;
    return 0;
}

/* A deeper line: of the block that the value opened, or more of the value. */
static int go_on(struct parser *p, struct str line)
{
    struct profile_entry *entry = p->entry;

    if (entry->value.len == 0) {
        if (memchr(line.ptr, '=', line.len) == NULL) {
            return fail(p, "expected key = value in an indented block");
        }
        int error = add_entry(p, line, &entry->nested);
        p->entry = entry;
        return error;
    }
    char *joined = arena_alloc(p->arena, entry->value.len + line.len + 2);
    if (joined == NULL) {
        return error_set(p->e, ERR_NOMEM, p->file->path, "is too large");
    }
    memcpy(joined, entry->value.ptr, entry->value.len);
    joined[entry->value.len] = '\n';
    memcpy(joined + entry->value.len + 1, line.ptr, line.len);
    entry->value = (struct str){joined, entry->value.len + 1 + line.len};
    return 0;
}

static int read_line(struct parser *p, struct str line)
{
    struct str text = trim(line);
    size_t indent = text.len == 0 ? 0 : (size_t)(text.ptr - line.ptr);

    if (text.len == 0 || *text.ptr == '#' || *text.ptr == ';') {
        return 0;
    }
    if (p->entry != NULL && indent > p->indent) {
        return go_on(p, text);
    }
    p->indent = indent;
    if (*text.ptr == '[') {
        return add_section(p, text);
    }
    if (p->entries == NULL) {
        return fail(p, "expected a [section] before the first key");
    }
    return add_entry(p, text, p->entries);
}

int profile_file_parse(struct profile_file *file, struct str text, struct arena *arena,
                       struct error *e)
{
    static const char bom[] = "\xef\xbb\xbf";
    struct parser parser = {.file = file, .arena = arena, .e = e};
    struct str line;
    int error = 0;

    if (str_starts_with(text, STR(bom))) {
        text.ptr += sizeof(bom) - 1;
        text.len -= sizeof(bom) - 1;
    }
    while (error == 0 && str_next(&text, '\n', &line)) {
        parser.line++;
        error = read_line(&parser, line);
    }
    return error;
}

const struct profile_section *profile_file_section(const struct profile_file *file,
                                                   enum profile_section_kind kind, struct str name)
{
    const struct profile_section *section = file->sections;

    while (section != NULL && (section->kind != kind || !str_equal(section->name, name))) {
        section = section->next;
    }
    return section;
}

const struct profile_entry *profile_file_entry(const struct profile_file *file,
                                               const struct profile_section *section,
                                               struct str key)
{
    struct profile_entry *entry = section == NULL ? NULL : find(section->entries, key);

    return entry != NULL || section == NULL ? entry : find(file->defaults, key);
}
