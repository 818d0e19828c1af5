/*
 * list: counted, intrusive, doubly linked. An object is on at most one list per node; state is
 * list membership. All operations O(1). No ownership.
 */
#ifndef SLUICE_BASE_LIST_H
#define SLUICE_BASE_LIST_H

#include "sluice/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *prev, *next; /* both NULL when on no list */
};

struct list {
    struct list_node head;
    size_t count;
};

#define LIST_ENTRY(node, type, member) SL_CONTAINER_OF(node, type, member)
/* Iterates; the current node may be removed inside. */
#define LIST_FOR(list, node)                                                                       \
    for (struct list_node *node = (list)->head.next, *node##_next = node->next;                    \
         node != &(list)->head; node = node##_next, node##_next = node->next)

void list_init(struct list *list);
void list_push(struct list *list, struct list_node *node); /* at the end */
void list_push_front(struct list *list, struct list_node *node);
void list_insert_before(struct list *list, struct list_node *before, struct list_node *node);
void list_remove(struct list *list, struct list_node *node);
struct list_node *list_first(const struct list *list); /* NULL when empty */
struct list_node *list_pop(struct list *list);         /* first one, removed; NULL when empty */
bool list_is_linked(const struct list_node *node);

#endif
