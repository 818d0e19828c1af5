#include "sluice/base/words.h"

#include <stdbool.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One quoted part, without its marks; *at stands behind the opening one. */
static int read_quoted(struct str line, size_t *at, char *out, size_t *len)
{
    char mark = line.ptr[*at - 1];

    for (; *at < line.len && line.ptr[*at] != mark; (*at)++) {
        char c = line.ptr[*at];
        bool escapes = mark == '"' && c == '\\' && *at + 1 < line.len &&
                       (line.ptr[*at + 1] == '"' || line.ptr[*at + 1] == '\\');
        out[(*len)++] = escapes ? line.ptr[++*at] : c;
    }
    return (*at)++ < line.len ? 0 : ERR_SYNTAX;
}

static int read_word(struct str line, size_t *at, char *out, size_t *len)
{
    int error = 0;

    while (error == 0 && *at < line.len && !is_space(line.ptr[*at])) {
        char c = line.ptr[(*at)++];
        if (c == '\'' || c == '"') {
            error = read_quoted(line, at, out, len);
        } else if (c != '\\') {
            out[(*len)++] = c;
        } else if (*at < line.len) {
            out[(*len)++] = line.ptr[(*at)++];
        } else {
            error = ERR_SYNTAX;
        }
    }
    return error;
}

int words_split(struct str line, struct arena *arena, struct str ret[WORDS_MAX],
                uint32_t *ret_count)
{
    /* No word is longer than what it is written with, and each takes a separator or the end. */
    char *out = arena_alloc(arena, line.len + 1);
    uint32_t count = 0;
    size_t at = 0;

    if (out == NULL) {
        return ERR_NOMEM;
    }
    for (;;) {
        size_t len = 0;
        while (at < line.len && is_space(line.ptr[at])) {
            at++;
        }
        if (at == line.len) {
            break;
        }
        if (count == WORDS_MAX) {
            return ERR_TOO_BIG;
        }
        int error = read_word(line, &at, out, &len);
        if (error != 0) {
            return error;
        }
        out[len] = '\0';
        ret[count++] = (struct str){out, len};
        out += len + 1;
    }
    *ret_count = count;
    return 0;
}
