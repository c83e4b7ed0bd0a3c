// Settings of the C library's allocator.
#include "vismae_c10d.h"

#include <malloc.h>

#include <climits>

extern "C" int vismae_keep_memory(void) {
#if defined(__GLIBC__)
  // Large blocks from the heap instead of fresh mappings, whose pages fault in again on every use.
  const int heap = mallopt(M_MMAP_MAX, 0);
  // One arena: the heap of any other is too small for a large tensor.
  const int arena = mallopt(M_ARENA_MAX, 1);
  const int trim = mallopt(M_TRIM_THRESHOLD, INT_MAX);
  const int pad = mallopt(M_TOP_PAD, 256 << 20);
  return heap && arena && trim && pad;
#else
  return 0;
#endif
}
