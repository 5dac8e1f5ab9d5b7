/* A long file for the compiler: the same functions again and again under other names, more of them with a larger
   SCALE (percent of a full run). */
#include <stddef.h>

#define FUNCTIONS(n)                                                                                                \
  struct list##n { struct list##n *next; int key; char name[24]; double weights[4]; };                              \
  static int hash##n(const char *text) {                                                                            \
    unsigned h = n;                                                                                                 \
    while (*text) h = h * 31 + (unsigned char)*text++;                                                              \
    return (int)(h ^ h >> 7);                                                                                       \
  }                                                                                                                 \
  struct list##n *insert##n(struct list##n *list, struct list##n *node) {                                           \
    struct list##n **at = &list;                                                                                    \
    node->key = hash##n(node->name);                                                                                \
    while (*at && (*at)->key < node->key) at = &(*at)->next;                                                        \
    node->next = *at;                                                                                               \
    *at = node;                                                                                                     \
    return list;                                                                                                    \
  }                                                                                                                 \
  double fold##n(const struct list##n *list, int kind) {                                                            \
    double sum = 0;                                                                                                 \
    for (; list; list = list->next)                                                                                 \
      switch ((list->key + kind) & 7) {                                                                             \
        case 0: sum += list->weights[0] * kind; break;                                                              \
        case 1: sum -= list->weights[1] / (kind + 1); break;                                                        \
        case 2: for (int i = 0; i < 4; i++) sum += list->weights[i] * i; break;                                     \
        case 3: sum *= 0.5; break;                                                                                  \
        case 4: sum = sum > 100 ? sum - list->key : sum + list->key; break;                                         \
        case 5: for (int i = 3; i >= 0; i--) if (list->weights[i] > sum) { sum = list->weights[i]; break; } break;  \
        default: sum += list->name[list->key & 15];                                                                 \
      }                                                                                                             \
    return sum;                                                                                                     \
  }

#define TEN(n) FUNCTIONS(n##0) FUNCTIONS(n##1) FUNCTIONS(n##2) FUNCTIONS(n##3) FUNCTIONS(n##4) \
  FUNCTIONS(n##5) FUNCTIONS(n##6) FUNCTIONS(n##7) FUNCTIONS(n##8) FUNCTIONS(n##9)

TEN(1)
#if SCALE >= 7
TEN(2)
#endif
#if SCALE >= 13
TEN(3)
#endif
#if SCALE >= 20
TEN(4)
#endif
#if SCALE >= 27
TEN(5)
#endif
#if SCALE >= 33
TEN(6)
#endif
#if SCALE >= 40
TEN(7)
#endif
#if SCALE >= 47
TEN(8)
#endif
#if SCALE >= 53
TEN(9)
#endif
#if SCALE >= 60
TEN(10)
#endif
#if SCALE >= 67
TEN(11)
#endif
#if SCALE >= 73
TEN(12)
#endif
#if SCALE >= 80
TEN(13)
#endif
#if SCALE >= 87
TEN(14)
#endif
#if SCALE >= 93
TEN(15)
#endif
#if SCALE >= 100
TEN(16)
#endif
