// The shim as one translation unit: reading libtorch's headers takes far longer than all the rest, so it is done once.
#include "store.cc"

#include "gloo.cc"
#ifdef USE_C10D_NCCL
#include "nccl.cc"
#endif

#include "gradients.cc"
#include "group.cc"
#include "memory.cc"
#include "reducer.cc"
