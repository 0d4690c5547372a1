/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_bpe.h"

#include "fmt_hash.h"

typedef struct {
    guint32 left, right, rank, id;
} merge;

struct _fmt_bpe {
    GHashTable *merges; /* a set of merge *, equal by left and right */
};

/* A symbol of the word; dead ones have been merged into the one before. */
typedef struct {
    guint32 id;
    gint32 prev, next; /* -1 at the ends */
    gboolean alive;
} node;

typedef struct {
    guint32 rank;
    gint32 at;  /* the left node */
    guint32 id; /* of the result, to see whether the pair is still the same */
} candidate;

static guint
hash_pair(gconstpointer p)
{
    const merge *m = p;
    const guint32 pair[2] = {m->left, m->right};
    return fmt_hash_bytes(pair, sizeof pair);
}

static gboolean
equal_pair(gconstpointer a, gconstpointer b)
{
    const merge *x = a, *y = b;
    return x->left == y->left && x->right == y->right;
}

fmt_bpe *
fmt_bpe_new(void)
{
    fmt_bpe *bpe = g_new0(fmt_bpe, 1);
    bpe->merges = g_hash_table_new_full(hash_pair, equal_pair, g_free, NULL);
    return bpe;
}

void
fmt_bpe_free(fmt_bpe *bpe)
{
    if (!bpe)
        return;
    g_hash_table_unref(bpe->merges);
    g_free(bpe);
}

gboolean
fmt_bpe_add(fmt_bpe *bpe, guint32 left, guint32 right, guint32 rank, guint32 id)
{
    merge *m = g_new(merge, 1);
    *m = (merge){left, right, rank, id};
    if (g_hash_table_contains(bpe->merges, m)) {
        g_free(m);
        return FALSE;
    }
    return g_hash_table_add(bpe->merges, m);
}

void
fmt_bpe_scratch_init(fmt_bpe_scratch *scratch)
{
    scratch->nodes = g_array_new(FALSE, FALSE, sizeof(node));
    scratch->heap = g_array_new(FALSE, FALSE, sizeof(candidate));
}

void
fmt_bpe_scratch_clear(fmt_bpe_scratch *scratch)
{
    g_clear_pointer(&scratch->nodes, g_array_unref);
    g_clear_pointer(&scratch->heap, g_array_unref);
}

static inline gboolean
before(const candidate *a, const candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void
heap_push(GArray *heap, candidate c)
{
    g_array_append_val(heap, c);
    candidate *h = (candidate *) (void *) heap->data;
    guint i = heap->len - 1;
    while (i > 0 && before(&c, &h[(i - 1) / 2])) {
        h[i] = h[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h[i] = c;
}

static candidate
heap_pop(GArray *heap)
{
    candidate *h = (candidate *) (void *) heap->data;
    candidate top = h[0], last = h[heap->len - 1];
    guint n = heap->len - 1, i = 0;

    for (;;) {
        guint child = 2 * i + 1;
        if (child >= n)
            break;
        if (child + 1 < n && before(&h[child + 1], &h[child]))
            child++;
        if (!before(&h[child], &last))
            break;
        h[i] = h[child];
        i = child;
    }
    h[i] = last;
    g_array_set_size(heap, n);
    return top;
}

static const merge *
find_merge(const fmt_bpe *bpe, const node *nodes, gint32 at)
{
    if (at < 0 || nodes[at].next < 0)
        return NULL;
    merge key = {.left = nodes[at].id, .right = nodes[nodes[at].next].id};
    return g_hash_table_lookup(bpe->merges, &key);
}

static void
consider(const fmt_bpe *bpe, const node *nodes, gint32 at, GArray *heap)
{
    const merge *m = find_merge(bpe, nodes, at);
    if (m)
        heap_push(heap, (candidate){m->rank, at, m->id});
}

void
fmt_bpe_merge(const fmt_bpe *bpe, GArray *symbols, fmt_bpe_scratch *scratch)
{
    gint32 n = (gint32) symbols->len;
    GArray *heap = scratch->heap;

    if (n < 2)
        return;
    g_array_set_size(heap, 0);
    g_array_set_size(scratch->nodes, (guint) n);
    node *nodes = (node *) (void *) scratch->nodes->data;
    for (gint32 i = 0; i < n; i++)
        nodes[i] = (node){g_array_index(symbols, guint32, i), i - 1, i + 1 < n ? i + 1 : -1, TRUE};
    for (gint32 i = 0; i + 1 < n; i++)
        consider(bpe, nodes, i, heap);

    while (heap->len > 0) {
        candidate c = heap_pop(heap);
        if (!nodes[c.at].alive)
            continue;
        /* the pair may have changed since it was queued; what it is now has been queued too */
        const merge *m = find_merge(bpe, nodes, c.at);
        if (!m || m->id != c.id || m->rank != c.rank)
            continue;
        gint32 right = nodes[c.at].next;
        nodes[right].alive = FALSE;
        nodes[c.at].id = c.id;
        nodes[c.at].next = nodes[right].next;
        if (nodes[right].next >= 0)
            nodes[nodes[right].next].prev = c.at;
        consider(bpe, nodes, nodes[c.at].prev, heap);
        consider(bpe, nodes, c.at, heap);
    }

    guint out = 0;
    for (gint32 i = 0; i >= 0; i = nodes[i].next)
        g_array_index(symbols, guint32, out++) = nodes[i].id;
    g_array_set_size(symbols, out);
}
